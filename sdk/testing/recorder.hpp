// Recorder: what the plugins log, count and trace, kept for the test.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bulkhead/services/log_sink.h"
#include "bulkhead/services/metric_sink.h"
#include "bulkhead/services/trace_sink.h"
#include "bulkhead/testing/local_host.hpp"
#include "core/telemetry/log.hpp"
#include "core/telemetry/metrics.hpp"
#include "core/telemetry/tracing.hpp"

namespace bulkhead::testing {

// [any]
class Recorder {
 public:
  Recorder(telemetry::Log& log, telemetry::Metrics& metrics, telemetry::Tracing& tracing);

  std::vector<LogEntry> logs() const { return copy(logs_); }
  std::vector<Recorded> records() const { return copy(records_); }
  std::vector<SpanEntry> spans() const {
    const std::lock_guard lock(mutex_);
    return {spans_.begin(), spans_.end()};
  }

 private:
  struct Series {
    uint32_t metric;
    std::vector<std::string> labels;
  };

  static Recorder& of(void* self) { return *static_cast<Recorder*>(self); }
  template <typename Each>
  std::vector<Each> copy(const std::vector<Each>& from) const {
    const std::lock_guard lock(mutex_);
    return from;
  }

  const bh_log_sink log_sink_;
  const bh_metric_sink metric_sink_;
  const bh_trace_sink trace_sink_;
  mutable std::mutex mutex_;  // what follows
  std::vector<LogEntry> logs_;
  std::vector<Recorded> records_;
  std::map<uint32_t, std::string> metrics_;
  std::map<uint32_t, Series> series_;
  std::deque<SpanEntry> spans_;
};

}  // namespace bulkhead::testing
