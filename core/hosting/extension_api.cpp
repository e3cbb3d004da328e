// What the host offers beyond bh_host: bh.introspect/1 and bh.trace_context/1.
#include <cstring>

#include "bulkhead/extensions/introspect.h"
#include "bulkhead/extensions/trace_context.h"
#include "core/chain/run.hpp"
#include "core/hosting/host_api.hpp"
#include "core/hosting/instance.hpp"
#include "core/hosting/manager.hpp"

namespace bulkhead::hosting {

using chain::Run;

struct ExtensionApi {
  static Instance& of(const bh_host* h) { return *static_cast<Instance*>(h->ctx); }

  static const Manager& manager(const bh_host* h) { return *of(h).environment_.manager; }
  static uint64_t generation(const bh_host* h) { return manager(h).generation(); }
  static int32_t draining(const bh_host* h) {
    return of(h).environment_.draining.load(std::memory_order_acquire) ? 1 : 0;
  }
  static void visit_plugins(const bh_host* h, void (*visit)(void*, const bh_plugin_info*), void* arg) {
    for (const auto& plugin : manager(h).instances()) {
      const Instance::Health state = plugin->health();
      const bh_plugin& d = plugin->descriptor();
      const bh_plugin_info info{sizeof info, state.state, to_str(plugin->id()),   d.id,
                                d.version,   d.summary,   to_str(plugin->file()), to_str(state.why)};
      visit(arg, &info);
    }
  }
  static void visit_routes(const bh_host* h, void (*visit)(void*, const bh_route_info*), void* arg) {
    const auto table = manager(h).table();
    if (!table) return;
    for (const chain::Route& route : table->routes) {
      const bh_route_info info{sizeof info,
                               route.step.blocking ? uint32_t{BH_BLOCKING} : 0,
                               to_str(route.method),
                               to_str(route.pattern),
                               to_str(route.step.owner->id),
                               to_str(route.operation),
                               to_str(route.scope)};
      visit(arg, &info);
    }
  }
  static bh_status set_trace(const bh_host* h, bh_exchange* handle, const bh_trace_ids* ids) {
    Run& run = *Run::of(handle);
    if (!of(h).trace_sink_) return BH_E_DENIED;
    if (!BH_HAS(ids, span_id)) return BH_E_INVALID;
    if (!run.request.traced() && run.row() != chain::kReceiveRow) return BH_E_STATE;
    run.request.set_trace(ids->trace_id, ids->span_id, ids->flags);
    return BH_OK;
  }
  static bh_status get_trace(const bh_host* /*h*/, bh_exchange* handle, bh_trace_ids* ids) {
    const exchange::Request& request = Run::of(handle)->request;
    if (!BH_HAS(ids, span_id)) return BH_E_INVALID;
    if (!request.traced()) return BH_E_NOT_FOUND;
    ids->flags = request.trace_flags();
    std::memcpy(ids->trace_id, request.trace_id, sizeof ids->trace_id);
    std::memcpy(ids->span_id, request.span_id, sizeof ids->span_id);
    return BH_OK;
  }
  static const void* find(bh_str id) {
    static constexpr bh_introspect kIntrospect{sizeof(bh_introspect), 0,       generation, visit_plugins,
                                               visit_routes,          draining};
    static constexpr bh_trace_context kTraceContext{sizeof(bh_trace_context), 0, set_trace, get_trace};
    if (to_view(id) == BH_INTROSPECT_ID) return &kIntrospect;
    return to_view(id) == BH_TRACE_CONTEXT_ID ? &kTraceContext : nullptr;
  }
};

const void* host_extension(const bh_host* /*host*/, bh_str id) { return ExtensionApi::find(id); }

}  // namespace bulkhead::hosting
