/* A plugin in C99, without any help. */
#include "bulkhead/plugin.h"

struct plain {
    const bh_host *host;
};

static struct plain plain;

static bh_flow echo(void *self, bh_exchange *ex, const bh_request *rq, bh_error *err) {
    const struct plain *p = self;
    bh_reply reply = {0};
    (void)err;
    reply.size = sizeof reply;
    reply.status = 200;
    reply.body = rq->body;
    return p->host->ex_reply(p->host, ex, &reply) == BH_OK ? BH_DONE : BH_E_INTERNAL;
}

static bh_status create(const bh_host *h, bh_str config, void **self, bh_error *err) {
    bh_route route = {0};
    const bh_str method = BH_LIT("POST"), pattern = BH_LIT("/plain");
    (void)config;
    plain.host = h;
    *self = &plain;
    route.size = sizeof route;
    route.method = method;
    route.pattern = pattern;
    route.step = echo;
    route.self = &plain;
    route.max_body = 64;
    return h->route(h, &route, err);
}

static void destroy(void *self) { (void)self; }

BH_NOTE(0);

static const bh_plugin descriptor = {
    sizeof(bh_plugin), BH_ABI_MAJOR, 0, 0, 0,
    BH_LIT("plain"), BH_LIT("0.1.0"), BH_LIT("Echoes a body of at most 64 bytes."), {0, 0},
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    create, 0, 0, 0, 0, destroy, 0};

const bh_plugin *bh_plugin_v1(void) { return &descriptor; }
