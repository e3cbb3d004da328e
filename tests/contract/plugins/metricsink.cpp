// Keeps metrics and shows them, to see that what others record arrives, also what was registered
// before.
#include <map>
#include <mutex>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/metric_sink.h"

class MetricSink : public bulkhead::Plugin {
 public:
  MetricSink(bulkhead::Host h, const bulkhead::Json& /*config*/) : Plugin(h) {
    api_.size = sizeof api_;
    api_.metric = [](void* self, uint32_t id, bh_str, const bh_metric* m) {
      auto& s = *static_cast<MetricSink*>(self);
      const std::lock_guard lock(s.mutex_);
      s.metrics_[id] = bulkhead::to_view(m->name);
    };
    api_.series = [](void* self, uint32_t id, uint32_t metric, const bh_str* labels, size_t n) {
      auto& s = *static_cast<MetricSink*>(self);
      const std::lock_guard lock(s.mutex_);
      std::string name = s.metrics_[metric];
      for (size_t i = 0; i < n; ++i) name += "," + std::string(bulkhead::to_view(labels[i]));
      s.series_[id] = name;
    };
    api_.record = [](void* self, uint32_t id, double value, bh_exchange*) {
      auto& s = *static_cast<MetricSink*>(self);
      const std::lock_guard lock(s.mutex_);
      s.sums_[s.series_[id]] += value;
      ++s.counts_[s.series_[id]];
    };
    h.publish(BH_METRIC_SINK_ID, BH_METRIC_SINK_VERSION, &api_, this);
    get("/metricsink/sums", &MetricSink::sums);
    get("/metricsink/counts", &MetricSink::counts);
  }

 private:
  bulkhead::Response sums(const bulkhead::Request&) {
    const std::lock_guard lock(mutex_);
    return bulkhead::json(200, bulkhead::Json(sums_));
  }
  bulkhead::Response counts(const bulkhead::Request&) {
    const std::lock_guard lock(mutex_);
    return bulkhead::json(200, bulkhead::Json(counts_));
  }
  std::mutex mutex_;
  std::map<uint32_t, std::string> metrics_, series_;
  std::map<std::string, double> sums_;
  std::map<std::string, int> counts_;
  bh_metric_sink api_{};
};
constexpr bh_need kOffers[] = {bulkhead::service(BH_METRIC_SINK_ID, BH_METRIC_SINK_VERSION)};
BULKHEAD_PLUGIN(MetricSink, "metricsink", "1.0.0", "Keeps metrics and shows them.", .offers = kOffers)
