#include "core/telemetry/tracing.hpp"

#include <memory>

#include "bulkhead/value.hpp"

namespace bulkhead::telemetry {

namespace {
bh_span g_no_span;
}

bh_span* Tracing::begin(std::string_view plugin, bh_exchange* ex, const bh_span* parent, int32_t kind, bh_str name) {
  const bh_span* sink = sink_.load(std::memory_order_acquire);
  if (sink == nullptr) return &g_no_span;
  void* above = parent != nullptr && parent->api == sink->api ? parent->inner : nullptr;
  // Below a dropped span there is none; it would begin a trace of its own.
  if (parent != nullptr && above == nullptr && ex == nullptr) return &g_no_span;
  void* inner = sink->api->begin(sink->self, to_str(plugin), ex, above, kind, name);
  if (inner == nullptr) return &g_no_span;
  return std::make_unique<bh_span>(bh_span{sink->api, sink->self, inner}).release();  // end() deletes it
}

void Tracing::tag(bh_span* span, bh_str key, const bh_value* value) {
  if (span->inner != nullptr) span->api->tag(span->self, span->inner, key, value);
}

void Tracing::context(bh_span* span, char traceparent[56]) {
  traceparent[0] = '\0';
  if (span->inner != nullptr) span->api->context(span->self, span->inner, traceparent);
}

void Tracing::end(bh_span* span, bh_status outcome) {
  if (span->inner == nullptr) return;
  const std::unique_ptr<bh_span> owned(span);
  owned->api->end(owned->self, owned->inner, outcome);
}

void Tracing::set_sink(const bh_trace_sink* api, void* self) {
  const std::lock_guard lock(mutex_);
  sink_.store(&sinks_.emplace_back(bh_span{api, self, nullptr}), std::memory_order_release);
}

}  // namespace bulkhead::telemetry
