// The tracing plugin: W3C trace context in and out, spans from all plugins, OTLP to a collector.
#include <algorithm>
#include <optional>
#include <string>

#include "bulkhead/extensions/trace_context.hpp"
#include "bulkhead/plugin.hpp"
#include "log_lines.hpp"
#include "random.hpp"
#include "settings.hpp"
#include "spans.hpp"
#include "tracing_embedded.hpp"

namespace tracing {

using bulkhead::Json;
using bulkhead::Request;
using bulkhead::to_pair;
using bulkhead::to_view;

namespace {
constexpr std::chrono::seconds kFlush{5};  // what a host that stops waits for the last batches
}

class Tracing : public bulkhead::Plugin {
 public:
  Tracing(bulkhead::Host h, const Json& config)
      : Plugin(h),
        settings_(read_settings(config, h.version())),
        context_(h),
        encoder_(settings_.resource, std::string(h.version())),
        metrics_(h),
        spans_(h, settings_, encoder_, metrics_),
        lines_(h, settings_, encoder_, metrics_) {
    if (!context_) throw bulkhead::Failure(BH_E_UNSUPPORTED, "the host lacks bh.trace_context/1");
    hook(BH_RECEIVE, [this](const Request& request) { return receive(request); });
    if (settings_.export_traces) hook(BH_ADMIT, [this](const Request& request) { return admit(request); });
    hook(BH_RESPOND, [this](const Request& request) { return respond(request); });
    if (settings_.export_traces) hook(BH_COMPLETE, [this](const Request& request) { return complete(request); });
  }

  void start() override {
    spans_.start();
    lines_.start();
  }

  void stop() override {
    spans_.stop(kFlush);
    lines_.stop(kFlush);
    spans_.join();
    lines_.join();
  }

 private:
  bh_flow receive(const Request& request) {
    const std::span<const bh_pair> headers = request.fields();
    std::optional<TraceParent> parent;
    if (settings_.trace_context) {
      const auto is_parent = [](const bh_pair& header) { return to_view(header.name) == "traceparent"; };
      const auto found = std::find_if(headers.begin(), headers.end(), is_parent);
      if (found != headers.end() && std::find_if(found + 1, headers.end(), is_parent) == headers.end())
        parent = parse_traceparent(to_view(found->value));
    }
    const TraceId trace_id = parent ? parent->trace_id : random_trace_id();
    const SpanId span_id = random_span_id();
    const std::string state = parent ? join_tracestate(headers) : std::string();
    if (settings_.export_traces) spans_.begin_request(request, trace_id, span_id, parent, state);
    // Where nothing is exported here, a trace that others export still goes through.
    tell_context(request, trace_id, span_id, !settings_.export_traces && parent && (parent->flags & kSampled) != 0);
    if (!state.empty()) request.attribute("tracing.tracestate", state);
    if (settings_.baggage)
      if (const std::string baggage = join_baggage(headers); !baggage.empty())
        request.attribute("tracing.baggage", baggage);
    return BH_NEXT;
  }

  // The route is known: the decision at the beginning can be taken.
  bh_flow admit(const Request& request) {
    Trace* trace = spans_.find(request.handle());
    if (trace == nullptr) return BH_NEXT;
    if (spans_.decide(*trace, request.route())) tell_context(request, trace->trace_id, trace->span_id, true);
    trace->unref();
    return BH_NEXT;
  }

  bh_flow respond(const Request& request) {
    const auto ids = context_.of(request.handle());
    if (!ids) return BH_NEXT;
    TraceParent parent;
    std::copy(std::begin(ids->trace_id), std::end(ids->trace_id), parent.trace_id.begin());
    std::copy(std::begin(ids->span_id), std::end(ids->span_id), parent.span_id.begin());
    if (Trace* trace = spans_.find(request.handle()); trace != nullptr) {
      parent.flags = Spans::flags_of(*trace, will_be_kept(request, spans_.decide(*trace, request.route())));
      trace->unref();
    } else {
      parent.flags = static_cast<uint8_t>(ids->flags & BH_SAMPLED);
    }
    char text[56], id[32];
    write_traceparent(parent, text);
    const std::array<bh_pair, 2> headers = {to_pair("x-trace-id", hex(parent.trace_id, id)),
                                            to_pair("traceparent", std::string_view(text, 55))};
    request.edit({.fields = std::span(headers).first(settings_.trace_context ? 2 : 1)});
    return BH_NEXT;
  }

  bh_flow complete(const Request& request) {
    Trace* trace = spans_.find(request.handle());
    if (trace == nullptr) return BH_NEXT;
    trace->unref();  // the request's own reference remains, and goes to end_request()
    const bulkhead::Outcome outcome = request.outcome().value_or(bulkhead::Outcome());
    const TraceId trace_id = trace->trace_id;
    const SpanId span_id = trace->span_id;
    if (spans_.end_request(*trace, request, outcome)) tell_context(request, trace_id, span_id, true);
    return BH_NEXT;
  }

  bool will_be_kept(const Request& request, bool head) const {
    if (head) return true;
    const auto outcome = request.outcome();
    return outcome &&
           (outcome->status >= 500 || outcome->duration_ns >= uint64_t{settings_.sampler.slow_ms} * 1'000'000);
  }

  void tell_context(const Request& request, const TraceId& trace_id, const SpanId& span_id, bool sampled) const {
    bh_trace_ids ids = bulkhead::sized<bh_trace_ids>();
    ids.flags = sampled ? uint32_t{BH_SAMPLED} : 0;
    std::copy(trace_id.begin(), trace_id.end(), ids.trace_id);
    std::copy(span_id.begin(), span_id.end(), ids.span_id);
    context_.set(request.handle(), ids);
  }

  const Settings settings_;
  const bulkhead::TraceContext context_;
  const Encoder encoder_;
  const ExportMetrics metrics_;
  Spans spans_;
  LogLines lines_;
};

constexpr bh_need kOffers[] = {bulkhead::service(BH_TRACE_SINK_ID, BH_TRACE_SINK_VERSION),
                               bulkhead::service(BH_LOG_SINK_ID, BH_LOG_SINK_VERSION)};
// Its headers belong to one request: what is kept of an answer for others is taken before they are
// added.
constexpr bh_str kBefore[] = {bulkhead::to_str("cache")};

}  // namespace tracing

BULKHEAD_PLUGIN(tracing::Tracing, "tracing", "1.0.0", "W3C trace context, spans, and their export by OTLP.",
                .schema = tracing_embedded::schema_json, .offers = tracing::kOffers, .before = tracing::kBefore)
