// bh_host but for the exchange: each function finds its instance through ctx, checks state and
// grants, and hands on to the part of the host that does the work.
#include <algorithm>
#include <cstring>

#include "bulkhead/services/log_sink.h"
#include "bulkhead/services/metric_sink.h"
#include "bulkhead/services/trace_sink.h"
#include "core/exchange/exchange.hpp"
#include "core/hosting/checked_api.hpp"
#include "core/hosting/host_api.hpp"
#include "core/hosting/instance.hpp"
#include "core/runtime/checks.hpp"
#include "core/runtime/clock.hpp"
#include "core/telemetry/trace_ids.hpp"
#include "core/version.hpp"

namespace bulkhead::hosting {

using exchange::Exchange;

namespace {

bh_status refuse(bh_error* err, bh_status code, std::string_view message) {
  if (err != nullptr && BH_HAS(err, message)) {
    err->code = code;
    const size_t n = std::min(message.size(), sizeof err->message - 1);
    std::memcpy(err->message, message.data(), n);
    err->message[n] = '\0';
  }
  return code;
}

}  // namespace

struct HostApi {
  static Instance& of(const bh_host* h) { return *static_cast<Instance*>(h->ctx); }

  // ---- log, clock, health

  static void log(const bh_host* h, bh_exchange* ex, int32_t level, bh_str message, const bh_pair* fields, size_t n) {
    Instance& plugin = of(h);
    if (level < BH_TRACE || level > BH_ERROR || !plugin.environment_.log.enabled(static_cast<telemetry::Level>(level)))
      return;
    telemetry::Log::Fields all{{"plugin", plugin.id()}};
    telemetry::TraceIds ids;
    if (ex != nullptr) {
      all.emplace_back("request_id", to_view(Exchange::of(ex)->request.id));
      if (ids.take(*Exchange::of(ex))) all.insert(all.end(), {{"trace_id", ids.trace()}, {"span_id", ids.span()}});
    }
    for (size_t i = 0; i < n; ++i) all.emplace_back(to_view(fields[i].name), to_view(fields[i].value));
    plugin.environment_.log.write(static_cast<telemetry::Level>(level), to_view(message), all);
  }
  static int32_t log_enabled(const bh_host* h, int32_t level) {
    return level >= BH_TRACE && level <= BH_ERROR &&
                   of(h).environment_.log.enabled(static_cast<telemetry::Level>(level))
               ? 1
               : 0;
  }
  static uint64_t now_ns(const bh_host* /*h*/) { return runtime::now_ns(); }
  static void health(const bh_host* h, int32_t state, bh_str why) { of(h).set_health(state, to_view(why)); }

  // ---- registration

  static bh_status route(const bh_host* h, const bh_route* r, bh_error* err) {
    Instance& plugin = of(h);
    if (!plugin.setting_up()) return refuse(err, BH_E_STATE, "routes are registered in create and start only");
    if (!BH_HAS(r, reserved) || r->step == nullptr)
      return refuse(err, BH_E_INVALID, "the route has no step, or its size is not set");
    const std::string_view pattern = to_view(r->pattern), method = to_view(r->method);
    if (const std::string wrong = chain::Router::check_method(method); !wrong.empty())
      return refuse(err, BH_E_INVALID, std::string(pattern) + ": " + wrong);
    if (const std::string wrong = chain::Router::check_pattern(pattern); !wrong.empty())
      return refuse(err, BH_E_INVALID, std::string(pattern) + ": " + wrong);
    const std::string own = "/" + std::string(to_view(plugin.descriptor().id));
    if (pattern != own && !pattern.starts_with(own + "/") && !plugin.granted("route", pattern))
      return refuse(err, BH_E_DENIED, "the grant 'route:" + std::string(pattern) + "' is not declared by the plugin");
    if (!to_view(r->operation).empty() && !config::Json::parse(to_view(r->operation), nullptr, false).is_object())
      return refuse(err, BH_E_INVALID,
                    std::string(method) + " " + std::string(pattern) + ": the operation is not a JSON object");
    chain::Route route;
    route.method = method;
    route.pattern = pattern;
    route.operation = to_view(r->operation);
    route.scope = to_view(r->scope);
    route.max_body = r->max_body;
    route.timeout_ms = r->timeout_ms;
    route.step = {r->step, r->self, &plugin.owner_, (r->flags & BH_BLOCKING) != 0};
    plugin.routes_.push_back(std::move(route));
    return BH_OK;
  }
  static bh_status hook(const bh_host* h, const bh_hook* k, bh_error* err) {
    Instance& plugin = of(h);
    if (!plugin.setting_up()) return refuse(err, BH_E_STATE, "hooks are registered in create and start only");
    if (!BH_HAS(k, routes) || k->step == nullptr)
      return refuse(err, BH_E_INVALID, "the hook has no step, or its size is not set");
    if (chain::phase_name(k->phase).empty()) return refuse(err, BH_E_INVALID, "the hook's phase does not exist");
    if (k->phase == BH_RECEIVE && !to_view(k->routes).empty())
      return refuse(err, BH_E_INVALID, "RECEIVE runs before routing, its hooks cannot be bound to routes");
    plugin.hooks_.push_back(
        {k->phase, std::string(to_view(k->routes)), {k->step, k->self, &plugin.owner_, (k->flags & BH_BLOCKING) != 0}});
    return BH_OK;
  }

  // ---- work elsewhere

  static bh_status post(const bh_host* h, void (*run)(void*), void* arg) {
    Instance& plugin = of(h);
    if (run == nullptr) return BH_E_INVALID;
    plugin.task_begun();
    const runtime::Task task{[](const runtime::Task& t) {
                               auto& owner = *static_cast<Instance*>(t.a);
                               owner.run("post", reinterpret_cast<void (*)(void*)>(t.d), const_cast<void*>(t.b));
                               owner.task_ended();
                             },
                             &plugin, arg, nullptr, reinterpret_cast<uint64_t>(run)};
    if (plugin.environment_.executor.submit(task)) return BH_OK;
    plugin.task_ended();
    return BH_E_BUSY;
  }
  static uint64_t timer(const bh_host* h, uint64_t delay_ms, uint64_t period_ms, void (*run)(void*), void* arg) {
    Instance& plugin = of(h);
    if (run == nullptr) return 0;
    // One step against retire(): a timer is either in the set it cancels, or refused.
    const std::lock_guard lock(plugin.mutex_);
    if (plugin.life_ >= Life::kDraining) return 0;
    auto own = std::make_shared<uint64_t>(0);
    *own = plugin.environment_.timers.start(
        delay_ms, period_ms,
        [&plugin, own, period_ms, run, arg] {
          plugin.run("timer", run, arg);
          if (period_ms != 0) return;
          const std::lock_guard done(plugin.mutex_);
          plugin.timers_.erase(*own);
        },
        &plugin);
    plugin.timers_.insert(*own);
    return *own;
  }
  static void timer_cancel(const bh_host* h, uint64_t id) {
    Instance& plugin = of(h);
    {
      const std::lock_guard lock(plugin.mutex_);
      // One that retire() is cancelling may still run.
      if (plugin.timers_.erase(id) == 0 && plugin.life_ < Life::kDraining) return;
    }
    plugin.environment_.timers.cancel(id);
  }

  // ---- services

  static bh_status publish(const bh_host* h, bh_str id, uint32_t version, const void* api, void* self) {
    Instance& plugin = of(h);
    if (!plugin.setting_up()) return BH_E_STATE;
    const bh_plugin& d = plugin.descriptor();
    const bool declared = std::any_of(d.offers, d.offers + d.offer_count,
                                      [&](const bh_need& offer) { return to_view(offer.service) == to_view(id); });
    if (!declared || api == nullptr) return declared ? BH_E_INVALID : BH_E_DENIED;
    if (!plugin.environment_.services.publish(to_view(id), version, api, self, &plugin)) return BH_E_CONFLICT;
    if (to_view(id) == BH_METRIC_SINK_ID) {
      plugin.environment_.metrics.set_sink(static_cast<const bh_metric_sink*>(api), self);
      plugin.metric_sink_ = true;
    }
    if (to_view(id) == BH_TRACE_SINK_ID) {
      plugin.environment_.tracing.set_sink(static_cast<const bh_trace_sink*>(api), self);
      plugin.trace_sink_ = true;
    }
    if (to_view(id) == BH_LOG_SINK_ID) {
      plugin.environment_.log.set_sink(static_cast<const bh_log_sink*>(api), self);
      plugin.log_sink_ = true;
    }
    return BH_OK;
  }
  static bh_status acquire(const bh_host* h, bh_str id, uint32_t min_version, bh_service* out, bh_error* err) {
    Instance& plugin = of(h);
    if (!plugin.granted("service", to_view(id)))
      return refuse(err, BH_E_DENIED,
                    "the grant 'service:" + std::string(to_view(id)) + "' is not declared by the plugin");
    std::string wrong;
    std::shared_ptr<Provider> provider = plugin.environment_.services.find(to_view(id), min_version, &wrong);
    if (!provider) return refuse(err, BH_E_UNAVAILABLE, wrong);
    provider->leases.fetch_add(1);
    out->version = provider->version;
    out->api = provider->api;
    out->self = provider->self;
    auto lease = std::make_unique<Lease>(Lease{std::move(provider)});
    out->lease = lease.get();
    const std::lock_guard lock(plugin.mutex_);
    plugin.leases_.insert(lease.release());
    return BH_OK;
  }
  static void release(const bh_host* h, bh_service* service) {
    Instance& plugin = of(h);
    auto* lease = static_cast<Lease*>(std::exchange(service->lease, nullptr));
    if (lease == nullptr) return;
    {
      const std::lock_guard lock(plugin.mutex_);
      if (plugin.leases_.erase(lease) == 0) return;
    }
    const std::unique_ptr<Lease> owned(lease);
    owned->provider->leases.fetch_sub(1);
  }

  // ---- metrics and traces

  static bh_status metric(const bh_host* h, const bh_metric* m, uint32_t* id) {
    Instance& plugin = of(h);
    if (!plugin.setting_up()) return BH_E_STATE;
    const std::string wrong = plugin.environment_.metrics.add(plugin.id(), *m, id);
    if (wrong.empty()) return BH_OK;
    plugin.environment_.log.write(telemetry::Level::kError, "metric refused: " + wrong, {{"plugin", plugin.id()}});
    return BH_E_CONFLICT;
  }
  static bh_status series(const bh_host* h, uint32_t metric, const bh_str* labels, size_t n, uint32_t* id) {
    return of(h).environment_.metrics.series(metric, labels, n, id).empty() ? BH_OK : BH_E_INVALID;
  }
  static void record(const bh_host* h, uint32_t series, double v, bh_exchange* exemplar) {
    of(h).environment_.metrics.record(series, v, exemplar);
  }
  static bh_span* span(const bh_host* h, bh_exchange* ex, bh_span* parent, int32_t kind, bh_str name) {
    return of(h).environment_.tracing.begin(of(h).id(), ex, parent, kind, name);
  }

  static void fill(Instance& plugin, bh_host* h) {
    *h = {};
    h->size = sizeof *h;
    h->abi_major = BH_ABI_MAJOR;
    h->abi_minor = BH_ABI_MINOR;
    h->ctx = &plugin;
    h->version = to_str(kVersion);
    h->instance = to_str(plugin.owner_.id);
    h->log = log;
    h->log_enabled = log_enabled;
    h->now_ns = now_ns;
    h->health = health;
    h->route = route;
    h->hook = hook;
    h->post = post;
    h->timer = timer;
    h->timer_cancel = timer_cancel;
    h->publish = publish;
    h->acquire = acquire;
    h->release = release;
    h->metric = metric;
    h->series = series;
    h->record = record;
    h->span = span;
    h->span_tag = telemetry::Tracing::tag;
    h->span_context = telemetry::Tracing::context;
    h->span_end = telemetry::Tracing::end;
    h->extension = host_extension;
    fill_exchange_api(h);
  }
};

void fill_host(Instance& instance, bh_host* host) {
  HostApi::fill(instance, host);
  if (runtime::checked()) check_calls(host);
}

}  // namespace bulkhead::hosting
