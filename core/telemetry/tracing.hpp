// Tracing: hands spans on to the trace sink.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <string_view>

#include "bulkhead/services/trace_sink.h"

// The handle plugins hold: the sink's own span and the sink it began with.
struct bh_span {
  const bh_trace_sink* api = nullptr;
  void* self = nullptr;
  void* inner = nullptr;
};

namespace bulkhead::telemetry {

class Tracing {
 public:
  // Never null; without a sink the same empty span each time.
  bh_span* begin(std::string_view plugin, bh_exchange* ex, const bh_span* parent, int32_t kind, bh_str name);
  static void tag(bh_span* span, bh_str key, const bh_value* value);
  static void context(bh_span* span, char traceparent[56]);
  static void end(bh_span* span, bh_status outcome);

  // Whether the sink wants a span for each step.
  bool steps() const {
    const bh_span* sink = sink_.load(std::memory_order_acquire);
    return sink != nullptr && (sink->api->flags & BH_TRACE_STEPS) != 0;
  }
  void set_sink(const bh_trace_sink* api, void* self);
  void clear_sink() { sink_.store(nullptr, std::memory_order_release); }

 private:
  std::mutex mutex_;
  std::deque<bh_span> sinks_;
  std::atomic<const bh_span*> sink_{nullptr};
};

}  // namespace bulkhead::telemetry
