// Breaks the contract in the way the path names: what checked mode is there to find.
#include <string>
#include <string_view>
#include <thread>

#include "bulkhead/plugin.h"
#include "bulkhead/value.hpp"

namespace {

using bulkhead::sized;
using bulkhead::to_str;
using bulkhead::to_view;

const bh_host* g_host = nullptr;
bh_exchange* g_exchange = nullptr;
std::string_view g_path;

bh_flow answer(bh_exchange* ex, std::string_view body) {
  auto reply = sized<bh_reply>();
  reply.status = 200;
  reply.body = to_str(body);
  return g_host->ex_reply(g_host, ex, &reply) == BH_OK ? bh_flow{BH_DONE} : bh_flow{BH_E_INTERNAL};
}

bh_flow nothing(void*, bh_exchange*, const bh_request*, bh_error*) { return BH_NEXT; }

bh_flow careless(void*, bh_exchange* ex, const bh_request* rq, bh_error*) {
  const std::string_view how = to_view(rq->params[0].value);
  if (how == "keep") {  // the view and the handle, without a hold
    g_path = to_view(rq->path);
    g_exchange = ex;
    return answer(ex, g_path);
  }
  if (how == "look") return answer(ex, g_path);
  if (how == "use") return g_host->ex_live(g_host, g_exchange) != 0 ? bh_flow{BH_NEXT} : bh_flow{BH_DONE};
  if (how == "release") {
    g_host->ex_retain(g_host, ex);
    g_host->ex_release(g_host, ex);
    g_host->ex_release(g_host, ex);
  }
  if (how == "route") {
    auto route = sized<bh_route>();
    route.method = to_str("GET");
    route.pattern = to_str("/careless/late");
    route.step = nothing;
    g_host->route(g_host, &route, nullptr);
  }
  if (how == "lend") {  // which is no breach
    int32_t live = 0;
    std::thread([&] { live = g_host->ex_live(g_host, ex); }).join();
    return answer(ex, live != 0 ? "live" : "gone");
  }
  if (how == "resume") {
    g_host->ex_retain(g_host, ex);
    g_host->ex_resume(g_host, ex);
    g_host->ex_resume(g_host, ex);
  }
  if (how == "thread") {
    g_host->ex_retain(g_host, ex);
    std::thread([ex] {
      auto change = sized<bh_reply>();
      g_host->ex_edit(g_host, ex, &change);
    }).join();
  }
  return answer(ex, "done");
}

bh_flow complete(void*, bh_exchange* ex, const bh_request* rq, bh_error*) {
  if (to_view(rq->path) != "/careless/edit") return BH_NEXT;
  auto change = sized<bh_reply>();
  return g_host->ex_edit(g_host, ex, &change) == BH_OK ? bh_flow{BH_NEXT} : bh_flow{BH_E_STATE};
}

bh_status create(const bh_host* host, bh_str, void** self, bh_error* err) {
  g_host = host;
  *self = &g_host;
  auto hook = sized<bh_hook>();
  hook.phase = BH_COMPLETE;
  hook.step = complete;
  if (const bh_status status = host->hook(host, &hook, err); status != BH_OK) return status;
  auto route = sized<bh_route>();
  route.method = to_str("GET");
  route.pattern = to_str("/careless/{how}");
  route.step = careless;
  return host->route(host, &route, err);
}

bh_plugin describe() {
  auto plugin = sized<bh_plugin>();
  plugin.abi_major = BH_ABI_MAJOR;
  plugin.abi_minor = BH_ABI_MINOR;
  plugin.id = to_str("careless");
  plugin.version = to_str("1.0.0");
  plugin.create = create;
  plugin.destroy = [](void*) {};
  return plugin;
}

BH_NOTE(BH_ABI_MINOR);

}  // namespace

extern "C" BH_EXPORT const bh_plugin* bh_plugin_v1() {
  static const bh_plugin kPlugin = describe();
  return &kPlugin;
}
