// The metrics plugin: keeps all recorded values, and shows them to Prometheus.
#include <string>

#include "bulkhead/extensions/introspect.hpp"
#include "bulkhead/extensions/trace_context.hpp"
#include "bulkhead/plugin.hpp"
#include "bulkhead/services/metric_sink.h"
#include "exposition.hpp"
#include "metrics_config.hpp"
#include "metrics_embedded.hpp"
#include "requests.hpp"
#include "store.hpp"

namespace metrics {

using bulkhead::Json;

class Metrics : public bulkhead::Plugin {
 public:
  Metrics(bulkhead::Host h, const metrics_config::Config& config)
      : Plugin(h), store_(config.max_series_per_metric), traces_(h) {
    sink_.metric = [](void* self, uint32_t id, bh_str /*owner*/, const bh_metric* metric) {
      static_cast<Metrics*>(self)->store_.metric(id, *metric);
    };
    sink_.series = [](void* self, uint32_t id, uint32_t metric, const bh_str* labels, size_t count) {
      static_cast<Metrics*>(self)->store_.series(id, metric, labels, count);
    };
    sink_.record = [](void* self, uint32_t id, double value, bh_exchange* ex) {
      static_cast<Metrics*>(self)->record(id, value, ex);
    };
    h.publish(BH_METRIC_SINK_ID, BH_METRIC_SINK_VERSION, &sink_, this);
    requests_ = std::make_unique<Requests>(h);
    hook(BH_ADMIT, [this](const bulkhead::Request& request) {
      requests_->began(request);
      return bh_flow{BH_NEXT};
    });
    hook(BH_COMPLETE, [this](const bulkhead::Request& request) {
      requests_->ended(request);
      return bh_flow{BH_NEXT};
    });
    // Off the I/O threads: thousands of series take milliseconds.
    get("/metrics", &Metrics::show, bulkhead::Operations(metrics_embedded::operations_json)("metrics"),
        {.blocking = true});
  }

  void start() override {
    const bulkhead::Introspection introspection(host());
    if (!introspection) return;
    introspection.routes([this](const bh_route_info& route) {
      requests_->expect(bulkhead::to_view(route.method), bulkhead::to_view(route.pattern));
    });
  }

 private:
  void record(uint32_t id, double value, bh_exchange* ex) {
    if (ex == nullptr || !store_.takes_exemplar(id)) return store_.record(id, value, nullptr);
    const auto trace = traces_.of(ex);
    const bool exported = trace && (trace->flags & BH_SAMPLED) != 0;
    store_.record(id, value, exported ? &*trace : nullptr);
  }

  bulkhead::Response show(const bulkhead::Request& request) {
    const std::vector<Collected> collected = store_.collect();
    const bool open = prefers_open_metrics(request.header_list("accept").value_or(""));
    return bulkhead::Response(200)
        .type(open ? kOpenMetricsType : kTextType)
        .header("cache-control", "no-cache")  // not no-store, by which compression knows a secret
        .header("vary", "accept")
        .body(open ? open_metrics(collected) : text(collected));
  }

  Store store_;
  const bulkhead::TraceContext traces_;
  bh_metric_sink sink_ = bulkhead::sized<bh_metric_sink>();
  std::unique_ptr<Requests> requests_;
};

constexpr bh_need kOffers[] = {bulkhead::service(BH_METRIC_SINK_ID, BH_METRIC_SINK_VERSION)};
// COMPLETE comes after tracing has decided whether the request's trace is kept: an exemplar names
// no other.
constexpr bh_str kAfter[] = {bulkhead::to_str("tracing")};

}  // namespace metrics

BULKHEAD_PLUGIN(metrics::Metrics, "metrics", "1.0.0", "Metrics in the formats of Prometheus.",
                .schema = metrics_embedded::schema_json, .offers = metrics::kOffers, .after = metrics::kAfter)
