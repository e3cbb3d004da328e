// Spans: the traces of this host, from the first span to the exporter.
//
// A request's trace is found through its exchange. Its spans wait until the request is over, and
// then go all or none; what ends later goes alone, and work without a request is a trace of its
// own.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/trace_sink.h"
#include "exporter.hpp"
#include "sampler.hpp"
#include "settings.hpp"
#include "trace.hpp"

namespace tracing {

class Spans {
 public:
  Spans(const bulkhead::Host& host, const Settings& settings, const Encoder& encoder, const ExportMetrics& metrics);
  Spans(const Spans&) = delete;
  Spans& operator=(const Spans&) = delete;

  void start();
  void stop(std::chrono::milliseconds patience);
  void join();

  // ---- [any] A request's trace, by its exchange.
  void begin_request(const bulkhead::Request& request, const TraceId& trace_id, const SpanId& span_id,
                     const std::optional<TraceParent>& parent, std::string_view state);
  // With a reference, or null.
  Trace* find(bh_exchange* ex) const;
  // The head decision, taken once, by the first call. `route` where it is known.
  bool decide(Trace& trace, std::optional<std::string_view> route) const;
  static uint8_t flags_of(const Trace& trace, bool sampled) {
    return static_cast<uint8_t>((trace.flags & kRandom) | (sampled ? kSampled : 0));
  }
  // The request is over. True where its trace is exported.
  bool end_request(Trace& trace, const bulkhead::Request& request, const bulkhead::Outcome& outcome);

 private:
  void publish();
  void report();
  Span* begin(std::string_view plugin, bh_exchange* ex, Span* parent, int32_t kind, std::string_view name);
  void end(Span& span, bh_status outcome);
  Trace& begin_root();
  void send(Trace& trace, Span* first);

  const bulkhead::Host host_;
  const Settings& settings_;
  const Encoder& encoder_;
  const ExportMetrics& metrics_;
  Sampler sampler_;
  TracePool pool_;
  bh_trace_sink sink_ = bulkhead::sized<bh_trace_sink>();
  std::array<uint32_t, 5> decisions_{};  // series, by Decision
  uint32_t factor_ = 0, dropped_ = 0;
  bulkhead::Timer timer_;
  std::unique_ptr<Exporter<ExportedTrace>> exporter_;  // null where nothing is exported
};

}  // namespace tracing
