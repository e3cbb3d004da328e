#include "recorder.hpp"

#include <cstring>

#include "bulkhead/value.hpp"

namespace bulkhead::testing {

namespace {

std::string text_of(const bh_value& value) {
  switch (value.kind) {
    case BH_INT:
    case BH_BOOL:
      return std::to_string(value.as.i);
    case BH_REAL:
      return std::to_string(value.as.r);
    case BH_NULL:
      return {};
    default:
      return std::string(to_view(value.as.s));
  }
}

}  // namespace

Recorder::Recorder(telemetry::Log& log, telemetry::Metrics& metrics, telemetry::Tracing& tracing)
    : log_sink_{sizeof log_sink_, 0,
                [](void* self, int32_t level, bh_str message, const bh_log_field* fields, size_t n) {
                  LogEntry entry{level, std::string(to_view(message)), {}};
                  for (size_t i = 0; i < n; ++i)
                    entry.fields[std::string(to_view(fields[i].name))] = text_of(fields[i].value);
                  const std::lock_guard lock(of(self).mutex_);
                  of(self).logs_.push_back(std::move(entry));
                }},
      metric_sink_{sizeof metric_sink_, 0,
                   [](void* self, uint32_t metric, bh_str /*owner*/, const bh_metric* m) {
                     const std::lock_guard lock(of(self).mutex_);
                     of(self).metrics_[metric] = to_view(m->name);
                   },
                   [](void* self, uint32_t series, uint32_t metric, const bh_str* labels, size_t n) {
                     Series made{metric, {}};
                     for (size_t i = 0; i < n; ++i) made.labels.emplace_back(to_view(labels[i]));
                     const std::lock_guard lock(of(self).mutex_);
                     of(self).series_[series] = std::move(made);
                   },
                   [](void* self, uint32_t series, double value, bh_exchange* /*exemplar*/) {
                     Recorder& recorder = of(self);
                     const std::lock_guard lock(recorder.mutex_);
                     const Series& of_series = recorder.series_[series];
                     recorder.records_.push_back({recorder.metrics_[of_series.metric], of_series.labels, value});
                   }},
      trace_sink_{sizeof trace_sink_,
                  0,
                  [](void* self, bh_str /*plugin*/, bh_exchange* /*ex*/, void* /*parent*/, int32_t /*kind*/,
                     bh_str name) -> void* {
                    const std::lock_guard lock(of(self).mutex_);
                    return &of(self).spans_.emplace_back(SpanEntry{std::string(to_view(name)), {}, false, BH_OK});
                  },
                  [](void* self, void* span, bh_str key, const bh_value* value) {
                    const std::lock_guard lock(of(self).mutex_);
                    static_cast<SpanEntry*>(span)->tags[std::string(to_view(key))] = text_of(*value);
                  },
                  [](void* /*self*/, void* /*span*/, char traceparent[56]) {
                    std::memcpy(traceparent, "00-11111111111111111111111111111111-2222222222222222-01", 56);
                  },
                  [](void* self, void* span, bh_status outcome) {
                    const std::lock_guard lock(of(self).mutex_);
                    static_cast<SpanEntry*>(span)->ended = true;
                    static_cast<SpanEntry*>(span)->outcome = outcome;
                  }} {
  log.set_sink(&log_sink_, this);
  metrics.set_sink(&metric_sink_, this);
  tracing.set_sink(&trace_sink_, this);
}

}  // namespace bulkhead::testing
