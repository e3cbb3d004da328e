// Metrics: the registry of all metrics and series, in front of the metric sink.
//
// Without a sink, recordings are dropped. A sink that comes later is told of all registrations.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bulkhead/services/metric_sink.h"

namespace bulkhead::telemetry {

class Metrics {
 public:
  // Empty on success, else why it is refused: malformed, or another owner has the name.
  std::string add(std::string_view owner, const bh_metric& metric, uint32_t* id);
  static constexpr size_t kMaxSeries = 10'000;  // of one metric
  // Values of the metric's labels, in its order. Equal ones give the same series. Empty on success,
  // else why not.
  std::string series(uint32_t metric, const bh_str* labels, size_t count, uint32_t* id);
  void record(uint32_t series, double value, bh_exchange* exemplar) const {
    if (const Sink* sink = sink_.load(std::memory_order_acquire); sink != nullptr && series != 0)
      sink->api->record(sink->self, series, value, exemplar);
  }
  void set_sink(const bh_metric_sink* api, void* self);
  void clear_sink() { sink_.store(nullptr, std::memory_order_release); }
  bool kept() const { return sink_.load(std::memory_order_acquire) != nullptr; }

 private:
  struct Metric {
    std::string owner, name, help, unit;
    uint32_t kind;
    std::vector<std::string> labels;
    std::vector<double> buckets;
    std::unordered_map<std::string, uint32_t> series = {};  // by the values of its labels, each ended by a zero byte
  };
  struct Series {
    uint32_t metric;
    std::vector<std::string> labels;
  };
  struct Sink {
    const bh_metric_sink* api;
    void* self;
  };

  static void replay(const Sink& sink, uint32_t id, const Metric& metric);
  static void replay(const Sink& sink, uint32_t id, const Series& series);

  std::mutex mutex_;
  std::vector<Metric> metrics_;
  std::vector<Series> series_;
  std::deque<Sink> sinks_;  // a thread in record() may still look at an old one
  std::atomic<const Sink*> sink_{nullptr};
};

}  // namespace bulkhead::telemetry
