// Breaks the rules of a step, one way a route.
#include "bulkhead/plugin.hpp"

class Forgetful : public bulkhead::Plugin {
 public:
  Forgetful(bulkhead::Host host, const bulkhead::Json& /*config*/) : Plugin(host) {
    add("/forgetful/next", [](void*, bh_exchange*, const bh_request*, bh_error*) -> bh_flow { return BH_NEXT; });
    add("/forgetful/done", [](void*, bh_exchange*, const bh_request*, bh_error*) -> bh_flow { return BH_DONE; });
    add("/forgetful/pending", [](void*, bh_exchange*, const bh_request*, bh_error*) -> bh_flow { return BH_PENDING; });
    add("/forgetful/status", [](void* self, bh_exchange* ex, const bh_request*, bh_error* err) -> bh_flow {
      const bh_host* h = static_cast<const bh_host*>(self);
      bh_reply reply{};
      reply.size = sizeof reply;
      reply.status = 99;
      return h->ex_reply(h, ex, &reply) == BH_E_INVALID
                 ? bulkhead::set_error(err, BH_E_CONFLICT, "refused as it should be")
                 : bh_flow{BH_DONE};
    });
    add("/forgetful/twice", [](void* self, bh_exchange* ex, const bh_request*, bh_error*) -> bh_flow {
      const bh_host* h = static_cast<const bh_host*>(self);
      bulkhead::text(200, "first").send(h, ex);
      return bulkhead::text(200, "second").send(h, ex) == BH_E_GONE ? bh_flow{BH_DONE} : bh_flow{BH_E_INTERNAL};
    });
    add("/forgetful/header", [](void* self, bh_exchange* ex, const bh_request*, bh_error*) -> bh_flow {
      const bh_host* h = static_cast<const bh_host*>(self);
      bulkhead::text(200, "split").header("x-split", "a\r\nset-cookie: stolen=1").send(h, ex);
      return BH_DONE;
    });
    add("/forgetful/late-route", [](void* self, bh_exchange* ex, const bh_request*, bh_error*) -> bh_flow {
      const bh_host* h = static_cast<const bh_host*>(self);
      bh_route late{};
      late.size = sizeof late;
      late.method = BH_LIT("GET");
      late.pattern = BH_LIT("/forgetful/more");
      late.step = [](void*, bh_exchange*, const bh_request*, bh_error*) -> bh_flow { return BH_NEXT; };
      bh_error err{};
      err.size = sizeof err;
      bulkhead::text(200, h->route(h, &late, &err) == BH_E_STATE ? err.message : "taken").send(h, ex);
      return BH_DONE;
    });
  }

 private:
  void add(std::string_view pattern, bh_step step) {
    bh_route r{};
    r.size = sizeof r;
    r.method = BH_LIT("GET");
    r.pattern = bulkhead::to_str(pattern);
    r.step = step;
    r.self = const_cast<bh_host*>(host().raw());
    bh_error err{};
    err.size = sizeof err;
    if (host().raw()->route(host().raw(), &r, &err) != BH_OK) throw std::runtime_error(err.message);
  }
};
BULKHEAD_PLUGIN(Forgetful, "forgetful", "1.0.0", "Breaks the rules of a step.")
