// LogLines: the log sink, by which lines of the host and of the access log are exported as well.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/log_sink.h"
#include "exporter.hpp"
#include "settings.hpp"

namespace tracing {

class LogLines {
 public:
  LogLines(const bulkhead::Host& host, const Settings& settings, const Encoder& encoder, const ExportMetrics& metrics);
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;

  void start();
  void stop(std::chrono::milliseconds patience);
  void join();

 private:
  void add(int32_t level, std::string_view message, std::span<const bh_log_field> fields);

  const Settings& settings_;
  const Encoder& encoder_;
  const ExportMetrics& metrics_;
  bh_log_sink sink_ = bulkhead::sized<bh_log_sink>();
  std::unique_ptr<Exporter<LogRecord>> exporter_;  // null where nothing is exported
};

}  // namespace tracing
