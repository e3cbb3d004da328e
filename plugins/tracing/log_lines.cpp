#include "log_lines.hpp"

#include <algorithm>

#include "callback.hpp"

namespace tracing {

using bulkhead::to_str;
using bulkhead::to_view;

LogLines::LogLines(const bulkhead::Host& host, const Settings& settings, const Encoder& encoder,
                   const ExportMetrics& metrics)
    : settings_(settings), encoder_(encoder), metrics_(metrics) {
  if (!settings_.take_logs) return;
  sink_.log = [](void* self, int32_t level, bh_str message, const bh_log_field* fields, size_t n) {
    unthrown([&] { static_cast<LogLines*>(self)->add(level, to_view(message), {fields, n}); });
  };
  host.publish(BH_LOG_SINK_ID, BH_LOG_SINK_VERSION, &sink_, this);
}

void LogLines::start() {
  if (!settings_.export_logs) return;
  exporter_ = std::make_unique<Exporter<LogRecord>>(
      metrics_, "logs", settings_.logs, settings_.batch,
      Exporter<LogRecord>::Functions{[this](std::vector<LogRecord>& batch, bool json) {
                                       return json ? encoder_.logs_json(batch) : encoder_.logs_protobuf(batch);
                                     },
                                     [](const LogRecord&) { return 1u; }, [](LogRecord&) {}});
}

void LogLines::stop(std::chrono::milliseconds patience) {
  if (exporter_) exporter_->stop(patience);
}

void LogLines::join() {
  if (exporter_) exporter_->join();
}

void LogLines::add(int32_t level, std::string_view message, std::span<const bh_log_field> fields) {
  if (!exporter_) return;
  LogRecord record{unix_ns(), level, std::string(message), {}, {}, {}};
  record.texts.reserve(fields.size());
  for (const bh_log_field& field : fields) {
    const std::string_view name = to_view(field.name);
    bh_value value = field.value;
    if (std::any_of(record.fields.begin(), record.fields.end(),
                    [name](const auto& each) { return each.first == name; }))
      continue;  // OTLP wants each once
    if (value.kind == BH_TEXT || value.kind == BH_BYTES) {
      const std::string_view text = to_view(value.as.s);
      if ((name == "trace_id" && unhex(text, record.trace.trace_id)) ||
          (name == "span_id" && unhex(text, record.trace.span_id)))
        continue;
      value.as.s = to_str(record.texts.emplace_back(text));
    }
    record.fields.emplace_back(name, value);
  }
  exporter_->add(std::move(record));
}

}  // namespace tracing
