// Store: the values of all series.
//
// Counters, up-down counters and histograms are summed up in cells of the recording
// thread's stripe, so that threads share no cache line; a reader adds the stripes
// up. A gauge is one cell: the last writer wins. Series are never removed.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bulkhead/extensions/trace_context.h"
#include "bulkhead/plugin.h"

namespace metrics {

// A trace that shows what a bucket counts.
struct Exemplar {
  std::array<uint8_t, 16> trace_id;
  std::array<uint8_t, 8> span_id;
  double value = 0, seconds = 0;  // seconds since 1970; 0: none
};

// One series as it stands.
struct Sample {
  const std::vector<std::string>* labels;  // values, in the order of the family's names
  double value = 0;                        // counters and gauges
  std::vector<double> buckets = {};        // histograms: not cumulative, the last is +Inf
  double sum = 0;
  std::vector<Exemplar> exemplars = {};  // of each bucket
};

struct Family {
  std::string name, help, unit;
  uint32_t kind = 0;  // BH_COUNTER, ...
  std::vector<std::string> labels;
  std::vector<double> bounds;  // ascending, without +Inf
};

struct Collected {
  const Family* family;
  std::vector<Sample> samples;
};

class Store {
 public:
  // At most `max_series` of one metric; what the others record is counted in
  // bulkhead_metrics_dropped_total{metric}.
  explicit Store(size_t max_series);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // ---- one thread at a time; ids are dense, from 1
  void metric(uint32_t id, const bh_metric& metric);
  void series(uint32_t id, uint32_t metric, const bh_str* labels, size_t count);

  // [any] Ids that are unknown do nothing. `trace` where the recording belongs to one that is
  // exported.
  void record(uint32_t id, double value, const bh_trace_ids* trace);
  // [any] Whether record() would make use of a trace.
  bool takes_exemplar(uint32_t id) const;
  // [any] In order of names.
  std::vector<Collected> collect() const;

 private:
  static constexpr size_t kStripes = 64, kChunk = 1024, kChunks = 1024;

  struct Series;
  struct Metric;
  using Cells = std::array<std::atomic<double>, kChunk>;
  using Stripe = std::array<std::atomic<Cells*>, kChunks>;
  using Chunk = std::array<std::atomic<Series*>, kChunk>;

  const Series* find(uint32_t id) const;
  std::atomic<double>* cells(const Series& series);
  size_t reserve(size_t count);
  void remember(const Series& series, size_t bucket, double value, const bh_trace_ids& trace) const;
  Sample read(const Series& series) const;

  const size_t max_series_;
  std::array<std::unique_ptr<Stripe>, kStripes> stripes_;
  std::array<std::atomic<Chunk*>, kChunks> chunks_{};
  mutable std::mutex mutex_;  // what follows
  std::deque<Metric> metrics_;
  std::deque<Series> series_;
  Metric* dropped_ = nullptr;
  size_t next_cell_ = 0;
};

}  // namespace metrics
