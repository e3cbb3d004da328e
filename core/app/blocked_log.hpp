// BlockedLog: tells the operator which plugin holds up an I/O thread, in the log and as a metric.
#pragma once

#include <cstdint>

#include "core/http/watchdog.hpp"
#include "core/runtime/executor.hpp"
#include "core/telemetry/log.hpp"
#include "core/telemetry/metrics.hpp"

namespace bulkhead::app {

class BlockedLog {
 public:
  BlockedLog(telemetry::Log& log, telemetry::Metrics& metrics, runtime::Executor& executor);

  // The watchdog's thread. What is told passes sinks, which are plugins too: on the executor, so
  // that they cannot hold up the watchdog.
  void operator()(const http::Blocked& blocked) const;

 private:
  void tell(const http::Blocked& blocked) const;

  telemetry::Log& log_;
  telemetry::Metrics& metrics_;
  runtime::Executor& executor_;
  uint32_t metric_ = 0;
};

}  // namespace bulkhead::app
