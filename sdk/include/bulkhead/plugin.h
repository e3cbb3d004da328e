/* bulkhead/plugin.h - the whole contract between the host and a plugin.
 *
 * C99, no dependencies, no exported host symbols: everything the host offers
 * arrives as a table of function pointers, so a plugin links nothing and a test
 * can play the host.
 *
 * Six rules carry the contract.
 *
 *  1. Growth.    Every struct passed by pointer starts with its size and has no
 *                padding (asserted); bh_str, bh_pair and bh_value are frozen. Members
 *                are only appended, never moved, renamed or given a new meaning. A
 *                reader touches a member only where BH_HAS() says it lies within size.
 *  2. Versions.  Same BH_ABI_MAJOR, and the plugin's minor <= the host's: it
 *                loads. Anything else: refused before any plugin code runs.
 *  3. Memory.    bh_str and every pointer are loans. An argument is lent until
 *                the call returns; request data until the step returns or, while the
 *                exchange is held, until ex_release. To keep a loan longer, copy it.
 *                Each side frees only what it made.
 *  4. Failure.   Calls return bh_status and fill the caller's bh_error. Nothing
 *                is thrown, and no longjmp crosses, in either direction.
 *  5. Threads.   Each function is marked [setup] (create and start only),
 *                [step] (inside a step, on its thread) or [any] (any thread).
 *                Steps of one plugin run concurrently.
 *  6. Trust.     A plugin has the rights of the process. Declared grants are
 *                enforced where the host is asked, and shown to the operator.
 */
#ifndef BH_PLUGIN_H
#define BH_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BH_ABI_MAJOR 1u
#define BH_ABI_MINOR 1u

/* True where member m lies within the size that *p reports of itself. */
#define BH_HAS(p, m) ((p)->size >= BH_END_(p, m))
#define BH_END_(p, m) ((size_t)((const char *)&(p)->m - (const char *)(p)) + sizeof((p)->m))

/* ------------------------------------------------------------ plain values */

typedef struct bh_str { const char *ptr; size_t len; } bh_str; /* bytes; UTF-8 where text */
typedef struct bh_pair { bh_str name, value; } bh_pair;        /* header, field, parameter */

enum { BH_NULL, BH_INT, BH_REAL, BH_BOOL, BH_TEXT, BH_BYTES };
typedef struct bh_value { /* a cell, a tag, a bound parameter */
    int32_t kind, reserved;
    union { int64_t i; double r; bh_str s; } as;
} bh_value;

#define BH_LIT(s) { (s), sizeof(s) - 1 }

typedef int32_t bh_status; /* 0, or one of the codes below */
enum {
    BH_OK = 0,
    BH_E_INVALID = -1,      /* malformed argument or request        400 */
    BH_E_UNAUTHENTICATED = -2, /*                                   401 */
    BH_E_DENIED = -3,       /* not permitted, or grant not declared 403 */
    BH_E_NOT_FOUND = -4,    /*                                      404 */
    BH_E_CONFLICT = -5,     /*                                      409 */
    BH_E_BUSY = -6,         /* over a limit; try again              429 */
    BH_E_INTERNAL = -7,     /* a defect                             500 */
    BH_E_UNSUPPORTED = -8,  /* host or peer lacks this member       501 */
    BH_E_UNAVAILABLE = -9,  /* a dependency is down                 503 */
    BH_E_TIMEOUT = -10,     /*                                      504 */
    BH_E_GONE = -11,        /* the exchange already ended; not an error to log */
    BH_E_CONFIG = -12,      /* configuration refused */
    BH_E_RESTART = -13,     /* configure(): make a new instance instead */
    BH_E_STATE = -14,       /* call not allowed in this state */
    BH_E_FULL = -15         /* no room to store it                  507 */
};

typedef struct bh_error { /* caller's memory; the callee fills it, NUL-terminated */
    uint32_t size;
    bh_status code;
    char message[248];
} bh_error;

enum { BH_TLS = 1u << 0 };    /* bh_request.flags */
enum { BH_APPEND = 1u << 0 }; /* bh_reply.flags */
enum { BH_TRACE, BH_DEBUG, BH_INFO, BH_WARN, BH_ERROR };
enum { BH_COUNTER /* adds */, BH_GAUGE /* sets */, BH_UPDOWN /* adds, may fall */, BH_HISTOGRAM /* observes */ };
enum { BH_STARTING, BH_READY, BH_DEGRADED, BH_FAILED };
enum { BH_SPAN_INTERNAL = 1, BH_SPAN_SERVER, BH_SPAN_CLIENT, BH_SPAN_PRODUCER, BH_SPAN_CONSUMER }; /* as OTLP numbers them */

/* ------------------------------------------------------------ one exchange */

typedef struct bh_exchange bh_exchange; /* one request and its answer; counted by the host */
typedef struct bh_span bh_span;

typedef struct bh_request { /* never changes, but: route and params come with routing (after RECEIVE), */
    uint32_t size;          /* body with PREPARE; before that they are empty                        */
    uint32_t flags;         /* BH_TLS */
    uint32_t http;          /* 10 or 11 */
    uint32_t peer_port;
    bh_str method;   /* "GET"; as sent, unknown verbs included */
    bh_str target;   /* the raw request target */
    bh_str path;     /* of target, percent-decoded, dot segments resolved */
    bh_str query;    /* raw, without '?' */
    bh_str scheme, authority;
    bh_str body;     /* whole, without transfer coding or content coding (gzip, br, zstd) */
    bh_str route;    /* the pattern that matched, "" before routing */
    bh_str peer;     /* address of the caller, after trusted-proxy rules */
    bh_str socket;   /* address of the connection's other end */
    bh_str id;       /* request id */
    const bh_pair *headers; /* wire order, names in lower case, duplicates kept */
    size_t header_count;
    const bh_pair *params;  /* path parameters, decoded */
    size_t param_count;
    uint8_t trace_id[16], span_id[8];
    uint64_t received_ns, deadline_ns; /* on the clock of bh_host.now_ns */
} bh_request;

typedef struct bh_reply { /* an answer, or with ex_edit a change to one */
    uint32_t size;
    int32_t status;         /* ex_edit: 0 keeps */
    uint32_t flags;         /* BH_APPEND: ex_edit adds headers instead of replacing by name */
    uint32_t reserved;
    const bh_pair *headers; /* ex_edit: replaces by name; a NULL value removes */
    size_t header_count;
    bh_str body;            /* ex_edit: NULL keeps */
    void (*release)(void *arg); /* NULL: the host copies body now. Else the host keeps  */
    void *arg;                  /* it and calls release(arg) once, from any thread, also */
                                /* when the reply is refused                            */
} bh_reply;

typedef struct bh_outcome { /* the answer as it stands (RESPOND) or went out (COMPLETE) */
    uint32_t size;
    int32_t status;         /* 499 in COMPLETE where the caller left first */
    const bh_pair *headers;
    size_t header_count;
    bh_str body;
    bh_str author;          /* id of the plugin that answered, "" = host */
    uint64_t duration_ns, bytes_out;
} bh_outcome;

/* What a step returns: one of these, or a bh_status < 0, which the host turns
 * into a problem+json answer with that code's HTTP status. */
typedef int32_t bh_flow;
enum {
    BH_NEXT = 0,   /* go on */
    BH_DONE = 1,   /* ex_reply was called */
    BH_PENDING = 2 /* ex_retain was called; ex_reply, ex_fail or ex_resume follows, or came already */
};

typedef bh_flow (*bh_step)(void *self, bh_exchange *ex, const bh_request *rq, bh_error *err);

/* Phases, in the order they run. RECEIVE to AUTHORIZE run at the end of the header
 * block, before a body is read or 100-continue is sent. RESPOND and COMPLETE run for
 * every request whose request line parsed: 404, 405, early BH_DONE, host errors and
 * timeouts included. Within a phase: the order rules of the plugins
 * (bh_plugin.after/before), then the operator's, then by id. RESPOND runs in the
 * reverse order, so a plugin wraps what lies inside it. Gaps leave room. */
enum {
    BH_RECEIVE = 100,      /* before routing: request id, trace, real address */
    BH_ADMIT = 200,        /* cheap refusals: CORS, size, per-address limits */
    BH_AUTHENTICATE = 300, /* who is it: puts identity.subject, identity.scopes, ... */
    BH_AUTHORIZE = 400,    /* may they */
    BH_PREPARE = 500,      /* per-identity quota, validation, cache lookup */
                           /* 600: the route's own step */
    BH_RESPOND = 700,      /* change the answer; reverse order */
    BH_COMPLETE = 800      /* after the answer left; exactly once, whatever happened */
};

/* -------------------------------------------- what a plugin registers (setup) */

enum {
    BH_BLOCKING = 1u << 0 /* the step may block or compute long: it runs on the executor */
};

typedef struct bh_route {
    uint32_t size;
    uint32_t flags;          /* BH_BLOCKING */
    bh_str method, pattern;  /* "GET", "/people/{uuid}" */
    bh_step step;
    void *self;
    bh_str operation;        /* OpenAPI 3.1 Operation Object, JSON; its "x-components" member, */
                             /* if any, is merged into the description's components       */
    bh_str scope;            /* what identity.scopes must hold; "" = public */
    uint64_t max_body;       /* 0 = host default */
    uint32_t timeout_ms;     /* 0 = host default; past it the host answers 504 */
    uint32_t reserved;
} bh_route;

typedef struct bh_hook {
    uint32_t size;
    uint32_t phase;
    uint32_t flags;          /* BH_BLOCKING, or wait by returning BH_PENDING */
    uint32_t reserved;
    bh_step step;
    void *self;
    bh_str routes;           /* glob over patterns; "" = all, unmatched requests included; */
                             /* RECEIVE runs before routing and takes "" only             */
} bh_hook;

typedef struct bh_metric {
    uint32_t size;
    uint32_t kind;
    bh_str name, help, unit; /* name as exposed; a second owner of a name is refused */
    const bh_str *labels;
    size_t label_count;
    const double *buckets;   /* histograms; NULL = default */
    size_t bucket_count;
} bh_metric;

typedef struct bh_service {  /* one plugin's use of another's service */
    uint32_t size;
    uint32_t version;        /* what the provider offers, >= what was asked */
    const void *api;         /* the service's own size-first table */
    void *self;              /* first argument of its functions */
    void *lease;             /* keeps that provider generation alive until released */
} bh_service;

/* --------------------------------------------------------------- the host */

typedef struct bh_host bh_host; /* one per plugin instance: the host knows who calls */
struct bh_host {
    uint32_t size;
    uint16_t abi_major, abi_minor;
    void *ctx;        /* the host's own */
    bh_str version;   /* of the host program */
    bh_str instance;  /* the plugin's name in the configuration */

    /* log, clock, health */
    void (*log)(const bh_host *h, bh_exchange *ex, int32_t level, bh_str msg,
                const bh_pair *fields, size_t n);                                                 /* [any] ex may be NULL */
    int32_t (*log_enabled)(const bh_host *h, int32_t level);                                      /* [any] */
    uint64_t (*now_ns)(const bh_host *h);                                                         /* [any] */
    void (*health)(const bh_host *h, int32_t state, bh_str why);                                  /* [any] */

    /* registration */
    bh_status (*route)(const bh_host *h, const bh_route *r, bh_error *err);                       /* [setup] */
    bh_status (*hook)(const bh_host *h, const bh_hook *k, bh_error *err);                         /* [setup] */

    /* work on the executor; drained before stop(). A plugin may also own threads: joined in stop() */
    bh_status (*post)(const bh_host *h, void (*run)(void *), void *arg);                          /* [any] */
    uint64_t (*timer)(const bh_host *h, uint64_t delay_ms, uint64_t period_ms,
                      void (*run)(void *), void *arg);                                            /* [any] 0 = refused; never two of a plugin at once */
    void (*timer_cancel)(const bh_host *h, uint64_t id);                                          /* [any] returns when it no longer runs; at once inside run */

    /* services between plugins */
    bh_status (*publish)(const bh_host *h, bh_str id, uint32_t version, const void *api, void *self); /* [setup] */
    bh_status (*acquire)(const bh_host *h, bh_str id, uint32_t min_version, bh_service *out, bh_error *err); /* [any] */
    void (*release)(const bh_host *h, bh_service *s);                                             /* [any] */

    /* metrics and traces: kept by the plugins that publish bh.metric_sink/1, bh.trace_sink/1; free without one.
     * What was registered before the sink came is replayed to it. */
    bh_status (*metric)(const bh_host *h, const bh_metric *m, uint32_t *metric);                  /* [setup] */
    bh_status (*series)(const bh_host *h, uint32_t metric, const bh_str *labels, size_t n,
                        uint32_t *series);                                                        /* [any] resolve once, keep */
    void (*record)(const bh_host *h, uint32_t series, double v, bh_exchange *exemplar);           /* [any] exemplar may be NULL */
    bh_span *(*span)(const bh_host *h, bh_exchange *ex, bh_span *parent, int32_t kind, bh_str name); /* [any] ex, parent may be NULL; never NULL */
    void (*span_tag)(bh_span *s, bh_str key, const bh_value *value);                              /* [any] one thread at a time; "link": a traceparent */
    void (*span_context)(bh_span *s, char traceparent[56]);                                       /* [any] for outbound calls; "" without a trace */
    void (*span_end)(bh_span *s, bh_status outcome);                                              /* [any] frees s; may come after COMPLETE */

    /* the exchange */
    bh_exchange *(*ex_retain)(const bh_host *h, bh_exchange *ex);                                 /* [any] where the exchange is lent or held */
    void (*ex_release)(const bh_host *h, bh_exchange *ex);   /* [any] last one out unanswered: host answers 500 */
    int32_t (*ex_live)(const bh_host *h, bh_exchange *ex);   /* [any] 0 once caller left or deadline passed */
    bh_status (*ex_reply)(const bh_host *h, bh_exchange *ex, const bh_reply *r);                  /* [any] once; then BH_E_GONE */
    bh_status (*ex_fail)(const bh_host *h, bh_exchange *ex, bh_status code, bh_str detail);       /* [any] problem+json, instead of ex_reply */
    bh_status (*ex_resume)(const bh_host *h, bh_exchange *ex);                                    /* [any] go on after BH_PENDING; only the plugin whose step waits may, once: else BH_E_STATE */
    bh_status (*ex_on_end)(const bh_host *h, bh_exchange *ex, void (*run)(void *), void *arg);    /* [step] once, when the caller left or the answer is out */
    bh_status (*ex_outcome)(const bh_host *h, bh_exchange *ex, bh_outcome *out);                  /* [step] RESPOND, COMPLETE */
    bh_status (*ex_edit)(const bh_host *h, bh_exchange *ex, const bh_reply *change);              /* [step] up to RESPOND; a body in RESPOND only: else BH_E_STATE */
    bh_status (*ex_get)(const bh_host *h, bh_exchange *ex, bh_str key, bh_str *value);            /* [any] names shared by plugins: attributes.h */
    bh_status (*ex_put)(const bh_host *h, bh_exchange *ex, bh_str key, bh_str value);             /* [step, or held before ex_resume] "<plugin>.<name>"; "identity.*" needs phase:authenticate; "tls.*" is the host's */

    /* everything else: optional tables by id: "bh.introspect/1" (plugins, routes, operations,
     * health states), "bh.stream/1" (bodies in pieces), "bh.http/1" (outbound calls) */
    const void *(*extension)(const bh_host *h, bh_str id);                                        /* [any] NULL = absent */

    /* ---- since minor 1 */
    /* Keeps data of the calling instance on the exchange, under a key that no other sees; the exchange calls
     * free(data) once, from any thread, when it is over and released. BH_E_CONFLICT where the key is taken:
     * free was called. The data must not hold the exchange. */
    bh_status (*ex_attach)(const bh_host *h, bh_exchange *ex, bh_str key, void *data,
                           void (*free)(void *data));                                             /* [any] where the exchange is lent or held */
    void *(*ex_attached)(const bh_host *h, bh_exchange *ex, bh_str key);                          /* [any] where the exchange is lent or held; NULL = nothing */
    /* Calls run(arg) soon, on the I/O thread that the exchange lives on. It must not block. */
    bh_status (*ex_call)(const bh_host *h, bh_exchange *ex, void (*run)(void *), void *arg);      /* [any] where the exchange is held until run returns */
};

/* -------------------------------------------------------------- the plugin */

typedef struct bh_need { bh_str service; uint32_t version; uint32_t optional; } bh_need;

enum {
    BH_EXCLUSIVE = 1u << 0, /* owns something singular: old generation quiesces before the new starts */
    BH_UNMAPPABLE = 1u << 1 /* promises that dlclose is safe */
};

/* create -> start -> (steps) -> quiesce -> stop -> destroy; never two at once.
 * A failed create or start is followed by nothing but destroy, if *self was set. */
typedef struct bh_plugin {
    uint32_t size;
    uint16_t abi_major, abi_minor; /* minor: the lowest this binary can live with */
    uint32_t flags;
    uint32_t reserved;
    bh_str id, version, summary;   /* "people", "1.4.2", one line */
    bh_str schema;                 /* JSON Schema of its configuration */
    const bh_need *needs;  size_t need_count;   /* services: decide start order */
    const bh_need *offers; size_t offer_count;
    const bh_str *grants;  size_t grant_count;  /* "route:/people*", "service:bh.sql", "header:authorization"; */
                                                /* routes at /ID and below it need none                     */
    const bh_str *after;   size_t after_count;  /* hook order, by plugin id */
    const bh_str *before;  size_t before_count;

    bh_status (*create)(const bh_host *h, bh_str config, void **self, bh_error *err); /* config: JSON, valid, defaults filled */
    bh_status (*start)(void *self, bh_error *err);                    /* services may be acquired */
    bh_status (*configure)(void *self, bh_str config, bh_error *err); /* optional; live change */
    void (*quiesce)(void *self);                                      /* optional; begin no new work */
    void (*stop)(void *self);                                         /* no step runs any more */
    void (*destroy)(void *self);
    const void *(*extension)(void *self, bh_str id);                  /* optional; "bh.command/1": bulkhead run ID ... */
} bh_plugin;

/* No padding, so that the layout is what the members say (rule 1). LP64 only. */
#if defined(__cplusplus)
#define BH_SIZE_(type, bytes) static_assert(sizeof(type) == (bytes), "layout of " #type)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define BH_SIZE_(type, bytes) _Static_assert(sizeof(type) == (bytes), "layout of " #type)
#else
#define BH_SIZE_(type, bytes) typedef char bh_size_##type[sizeof(type) == (bytes) ? 1 : -1]
#endif
BH_SIZE_(bh_str, 16);
BH_SIZE_(bh_pair, 32);
BH_SIZE_(bh_value, 24);
BH_SIZE_(bh_error, 256);
BH_SIZE_(bh_request, 264);
BH_SIZE_(bh_reply, 64);
BH_SIZE_(bh_outcome, 72);
BH_SIZE_(bh_route, 104);
BH_SIZE_(bh_hook, 48);
BH_SIZE_(bh_metric, 88);
BH_SIZE_(bh_service, 32);
BH_SIZE_(bh_need, 24);
BH_SIZE_(bh_plugin, 216);
BH_SIZE_(bh_host, 320);

#if defined(__GNUC__)
#define BH_EXPORT __attribute__((visibility("default")))
#else
#define BH_EXPORT
#endif

/* The one exported symbol; its name carries the major version, so one host can
 * speak two. Cheap, no side effects, the same pointer each time. */
BH_EXPORT const bh_plugin *bh_plugin_v1(void);

/* Lets the host read the version from the file before it maps a byte of code. */
#if defined(__GNUC__) && defined(__ELF__)
#define BH_NOTE(minor)                                                            \
    static const struct { uint32_t n, d, t; char name[4]; uint16_t v[2]; } bh_note \
        __attribute__((section(".note.bulkhead"), used, aligned(4))) =                  \
            { 4, 4, 1, { 'B', 'H', 0, 0 }, { BH_ABI_MAJOR, (minor) } }
#else
#define BH_NOTE(minor) struct bh_note_unused
#endif

#ifdef __cplusplus
}
#endif
#endif /* BH_PLUGIN_H */
