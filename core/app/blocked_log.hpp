// BlockedLog: tells the operator which plugin holds up an I/O thread, in the log and as a metric.
#pragma once

#include <cstdint>

#include "core/http/watchdog.hpp"
#include "core/telemetry/log.hpp"
#include "core/telemetry/metrics.hpp"

namespace bulkhead::app {

class BlockedLog {
 public:
  BlockedLog(telemetry::Log& log, telemetry::Metrics& metrics);

  // The watchdog's thread.
  void operator()(const http::Blocked& blocked) const;

 private:
  telemetry::Log& log_;
  telemetry::Metrics& metrics_;
  uint32_t metric_ = 0;
};

}  // namespace bulkhead::app
