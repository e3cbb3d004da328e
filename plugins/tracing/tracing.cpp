// The tracing plugin: W3C trace context in and out, spans from everybody, OTLP to a collector.
#include <cstring>
#include <optional>
#include <string>

#include "bulkhead/extensions/trace_context.h"
#include "bulkhead/plugin.hpp"
#include "bulkhead/services/log_sink.h"
#include "bulkhead/services/trace_sink.h"
#include "bulkhead/status.hpp"
#include "exporter.hpp"
#include "random.hpp"
#include "server_span.hpp"
#include "settings.hpp"
#include "tracing_embedded.hpp"

namespace tracing {

using bulkhead::Json;
using bulkhead::Request;
using bulkhead::to_str;
using bulkhead::to_view;

namespace {

constexpr std::chrono::seconds kFlush{5};  // what a host that stops waits for the last batches
constexpr std::string_view kTraceKey = "tracing.trace";

// How an exchange finds its trace.
struct Handle {
  Trace* trace;
  uint32_t generation;
};

// Nothing is thrown into the host: what there is no memory for is not traced.
template <typename Body>
void unthrown(Body body) noexcept {
  try {
    body();
  } catch (const std::exception&) {
  }
}

uint64_t unix_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

}  // namespace

class Tracing : public bulkhead::Plugin {
 public:
  Tracing(bulkhead::Host h, const Json& config)
      : Plugin(h),
        settings_(read_settings(config, to_view(h.raw()->version))),
        context_(h.extension<bh_trace_context>(BH_TRACE_CONTEXT_ID)),
        encoder_(settings_.resource, std::string(to_view(h.raw()->version))),
        sampler_(settings_.sampler),
        pool_(settings_.limits) {
    if (context_ == nullptr) throw bulkhead::Failure(BH_E_UNSUPPORTED, "the host lacks bh.trace_context/1");
    publish();
    register_metrics();
    hook(BH_RECEIVE, [this](const Request& request) { return receive(request); });
    if (settings_.export_traces) hook(BH_ADMIT, [this](const Request& request) { return admit(request); });
    hook(BH_RESPOND, [this](const Request& request) { return respond(request); });
    if (settings_.export_traces) hook(BH_COMPLETE, [this](const Request& request) { return complete(request); });
  }

  void start() override {
    const auto epoch = [this] { return unix_ns() - host().now_ns(); };
    if (settings_.export_traces) {
      traces_ = std::make_unique<Exporter<ExportedTrace>>(
          export_metrics_, "traces", settings_.traces, settings_.batch,
          Exporter<ExportedTrace>::Functions{
              [this, epoch](std::vector<ExportedTrace>& batch, bool json) {
                return json ? encoder_.traces_json(batch, epoch()) : encoder_.traces_protobuf(batch, epoch());
              },
              [](const ExportedTrace& item) { return item.count; }, [](ExportedTrace& item) { item.trace->unref(); }});
      report_ = host().raw()->timer(
          host().raw(), 1000, 1000, [](void* self) { static_cast<Tracing*>(self)->report(); }, this);
    }
    if (settings_.export_logs)
      logs_ = std::make_unique<Exporter<LogRecord>>(
          export_metrics_, "logs", settings_.logs, settings_.batch,
          Exporter<LogRecord>::Functions{[this](std::vector<LogRecord>& batch, bool json) {
                                           return json ? encoder_.logs_json(batch) : encoder_.logs_protobuf(batch);
                                         },
                                         [](const LogRecord&) { return 1u; }, [](LogRecord&) {}});
  }

  void stop() override {
    if (report_ != 0) host().raw()->timer_cancel(host().raw(), report_);
    if (traces_) traces_->stop(kFlush);
    if (logs_) logs_->stop(kFlush);
    if (traces_) traces_->join();
    if (logs_) logs_->join();
  }

 private:
  void publish() {
    sink_.size = sizeof sink_;
    sink_.flags = settings_.steps ? uint32_t{BH_TRACE_STEPS} : 0;
    sink_.begin = [](void* self, bh_str plugin, bh_exchange* ex, void* parent, int32_t kind, bh_str name) -> void* {
      void* span = nullptr;
      unthrown([&] {
        span = static_cast<Tracing*>(self)->begin(to_view(plugin), ex, static_cast<Span*>(parent), kind, to_view(name));
      });
      return span;
    };
    sink_.tag = [](void* /*self*/, void* span, bh_str key, const bh_value* value) {
      unthrown([&] {
        auto& s = *static_cast<Span*>(span);
        if (to_view(key) != "link" || value->kind != BH_TEXT) return s.trace->tag(s, to_view(key), *value);
        if (const auto to = parse_traceparent(to_view(value->as.s))) s.trace->link(s, *to);
      });
    };
    sink_.context = [](void* self, void* span, char out[56]) {
      const auto& s = *static_cast<Span*>(span);
      const bool in = static_cast<Tracing*>(self)->decide(*s.trace, {});
      const TraceParent parent{s.trace->trace_id, s.id, flags_of(*s.trace, in)};
      write_traceparent(parent, *reinterpret_cast<char(*)[56]>(out));
    };
    sink_.end = [](void* self, void* span, bh_status outcome) {
      unthrown([&] { static_cast<Tracing*>(self)->end(*static_cast<Span*>(span), outcome); });
    };
    host().publish(BH_TRACE_SINK_ID, BH_TRACE_SINK_VERSION, &sink_, this);
    if (!settings_.take_logs) return;
    log_sink_.size = sizeof log_sink_;
    log_sink_.log = [](void* self, int32_t level, bh_str message, const bh_log_field* fields, size_t n) {
      unthrown([&] { static_cast<Tracing*>(self)->log(level, to_view(message), {fields, n}); });
    };
    host().publish(BH_LOG_SINK_ID, BH_LOG_SINK_VERSION, &log_sink_, this);
  }

  void register_metrics() {
    if (!settings_.export_traces) return;
    static constexpr std::array<std::string_view, 1> kDecision = {"decision"};
    const uint32_t traces = host().metric(BH_COUNTER, "tracing_traces_total",
                                          "Requests by what was decided of their trace when they ended.", kDecision);
    const std::array<std::string_view, 5> names = {"head", "error", "slow", "unsampled", "over_budget"};
    for (size_t i = 0; i < names.size(); ++i)
      decisions_[i] = host().series(traces, std::array<std::string_view, 1>{names[i]});
    factor_ = host().series(host().metric(BH_GAUGE, "tracing_sampling_factor_ratio",
                                          "What the budget of spans makes of the share that is sampled."));
    dropped_spans_ =
        host().series(host().metric(BH_COUNTER, "tracing_spans_dropped_total", "Spans past the limit of their trace."));
  }

  void report() {
    sampler_.tick(host().now_ns());
    host().record(factor_, sampler_.factor());
    if (const uint64_t dropped = pool_.dropped_spans.exchange(0); dropped != 0)
      host().record(dropped_spans_, static_cast<double>(dropped));
  }

  static uint8_t flags_of(const Trace& trace, bool sampled) {
    return static_cast<uint8_t>((trace.flags & kRandom) | (sampled ? kSampled : 0));
  }

  // ---- a request's way

  bh_flow receive(const Request& request) {
    const bh_request& rq = request.raw();
    const std::span<const bh_pair> headers(rq.headers, rq.header_count);
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
    // Where nothing is exported here, a trace that others export still goes through.
    const bool passes = !settings_.export_traces && parent && (parent->flags & kSampled) != 0;
    if (settings_.export_traces) {
      Trace& trace = pool_.take();
      trace.trace_id = trace_id;
      trace.span_id = span_id;
      trace.remote = parent.has_value();
      trace.flags = parent ? parent->flags : uint8_t{kRandom};
      if (parent) trace.parent_id = parent->span_id;
      trace.state = trace.copy(state);
      const Handle handle{&trace, trace.generation()};
      request.attribute(kTraceKey, {reinterpret_cast<const char*>(&handle), sizeof handle});
    }
    tell_context(request, trace_id, span_id, passes);
    if (!state.empty()) request.attribute("tracing.tracestate", state);
    if (settings_.baggage)
      if (const std::string baggage = join_baggage(headers); !baggage.empty())
        request.attribute("tracing.baggage", baggage);
    return BH_NEXT;
  }

  bh_flow admit(const Request& request) {
    Trace* trace = find(request.handle());
    if (trace == nullptr) return BH_NEXT;
    if (decide(*trace, request.route())) tell_context(request, trace->trace_id, trace->span_id, true);
    trace->unref();
    return BH_NEXT;
  }

  bh_flow respond(const Request& request) {
    bh_trace_ids ids{};
    ids.size = sizeof ids;
    if (context_->get(host().raw(), request.handle(), &ids) != BH_OK) return BH_NEXT;
    TraceParent parent;
    std::copy(std::begin(ids.trace_id), std::end(ids.trace_id), parent.trace_id.begin());
    std::copy(std::begin(ids.span_id), std::end(ids.span_id), parent.span_id.begin());
    if (Trace* trace = find(request.handle()); trace != nullptr) {
      parent.flags = flags_of(*trace, will_be_kept(request, decide(*trace, request.route())));
      trace->unref();
    } else {
      parent.flags = static_cast<uint8_t>(ids.flags & BH_SAMPLED);
    }
    char text[56], id[32];
    write_traceparent(parent, text);
    std::array<bh_pair, 2> headers = {bh_pair{to_str("x-trace-id"), to_str(hex(parent.trace_id, id))},
                                      bh_pair{to_str("traceparent"), to_str(std::string_view(text, 55))}};
    bh_reply change{};
    change.size = sizeof change;
    change.headers = headers.data();
    change.header_count = settings_.trace_context ? 2 : 1;
    host().raw()->ex_edit(host().raw(), request.handle(), &change);
    return BH_NEXT;
  }

  bh_flow complete(const Request& request) {
    Trace* trace = find(request.handle());
    if (trace == nullptr) return BH_NEXT;
    trace->unref();  // the request's own reference remains
    bh_outcome outcome{};
    outcome.size = sizeof outcome;
    host().raw()->ex_outcome(host().raw(), request.handle(), &outcome);
    const uint64_t end_ns = request.raw().received_ns + outcome.duration_ns;
    const Decision decision = sampler_.tail(decide(*trace, request.route()), outcome.status, outcome.duration_ns,
                                            trace->span_count() + 1, end_ns);
    host().record(decisions_[static_cast<size_t>(decision)], 1);
    if (decision == Decision::kUnsampled || decision == Decision::kOverBudget) {
      trace->close(false);
      trace->unref();
      return BH_NEXT;
    }
    tell_context(request, trace->trace_id, trace->span_id, true);
    Span& span = *trace->begin(BH_SPAN_SERVER, server_span_name(request), {}, trace->parent_id,
                               request.raw().received_ns, Trace::Place::kReserved);
    span.id = trace->span_id;
    describe_server_span(*trace, span, request, outcome, settings_.redact_query);
    trace->end(span, end_ns, outcome.status >= 500, {});  // by the conventions the status says enough
    send(*trace, trace->close(true));
    return BH_NEXT;
  }

  bool will_be_kept(const Request& request, bool head) const {
    bh_outcome outcome{};
    outcome.size = sizeof outcome;
    if (head || host().raw()->ex_outcome(host().raw(), request.handle(), &outcome) != BH_OK) return head;
    return outcome.status >= 500 || outcome.duration_ns >= uint64_t{settings_.sampler.slow_ms} * 1'000'000;
  }

  void tell_context(const Request& request, const TraceId& trace_id, const SpanId& span_id, bool sampled) const {
    bh_trace_ids ids{};
    ids.size = sizeof ids;
    ids.flags = sampled ? uint32_t{BH_SAMPLED} : 0;
    std::copy(trace_id.begin(), trace_id.end(), ids.trace_id);
    std::copy(span_id.begin(), span_id.end(), ids.span_id);
    context_->set(host().raw(), request.handle(), &ids);
  }

  // With a reference, or null.
  Trace* find(bh_exchange* ex) const {
    bh_str value{};
    Handle handle{};
    if (host().raw()->ex_get(host().raw(), ex, to_str(kTraceKey), &value) != BH_OK || value.len != sizeof handle)
      return nullptr;
    std::memcpy(&handle, value.ptr, sizeof handle);
    return handle.trace->try_ref(handle.generation) ? handle.trace : nullptr;
  }

  // The decision at the beginning, taken once: by the first who has to know.
  bool decide(Trace& trace, std::optional<std::string_view> route) const {
    Trace::Head head = trace.head.load(std::memory_order_acquire);
    if (head != Trace::Head::kUndecided) return head == Trace::Head::kIn;
    const bool in = sampler_.head(trace.trace_id, trace.remote, trace.flags, route);
    trace.head.compare_exchange_strong(head, in ? Trace::Head::kIn : Trace::Head::kOut, std::memory_order_acq_rel);
    return head == Trace::Head::kUndecided ? in : head == Trace::Head::kIn;
  }

  // Hands over one reference.
  void send(Trace& trace, Span* first) {
    uint32_t count = 0;
    for (const Span* s = first; s != nullptr; s = s->next) ++count;
    traces_->add({&trace, first, count});
  }

  // ---- the sink

  Span* begin(std::string_view plugin, bh_exchange* ex, Span* parent, int32_t kind, std::string_view name) {
    if (!traces_) return nullptr;
    Trace* trace = nullptr;
    SpanId above{};
    if (parent != nullptr) {
      trace = parent->trace;
      trace->ref();
      above = parent->id;
    } else if (ex != nullptr) {
      trace = find(ex);
      if (trace == nullptr) return nullptr;
      const uint64_t step = trace->step.load(std::memory_order_relaxed);
      if (step != 0)
        std::memcpy(above.data(), &step, sizeof step);
      else
        above = trace->span_id;
    } else {
      trace = &begin_root();
    }
    const bool is_step = kind == BH_SPAN_STEP;
    if (is_step) above = trace->span_id;
    Span* span = trace->begin(is_step ? int32_t{BH_SPAN_INTERNAL} : kind, name, plugin, above, host().now_ns());
    if (span != nullptr && is_step) {
      uint64_t id = 0;
      std::memcpy(&id, span->id.data(), sizeof id);
      trace->step.store(id, std::memory_order_relaxed);
    }
    trace->unref();
    return span;
  }

  // Work on nobody's behalf: a trace of its own, sampled like any other.
  Trace& begin_root() {
    Trace& trace = pool_.take();
    trace.trace_id = random_trace_id();
    trace.flags = kRandom;
    trace.close(decide(trace, {}));
    return trace;
  }

  void end(Span& span, bh_status outcome) {
    Trace& trace = *span.trace;
    uint64_t id = 0;
    std::memcpy(&id, span.id.data(), sizeof id);
    trace.step.compare_exchange_strong(id, 0, std::memory_order_relaxed);
    const uint64_t now = host().now_ns();
    if (!trace.end(span, now, outcome < 0, bulkhead::status_text(outcome))) return;
    if (sampler_.admit(1, now))
      send(trace, &span);
    else
      trace.unref();
  }

  void log(int32_t level, std::string_view message, std::span<const bh_log_field> fields) {
    if (!logs_) return;
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
    logs_->add(std::move(record));
  }

  const Settings settings_;
  const bh_trace_context* context_;
  const Encoder encoder_;
  Sampler sampler_;
  TracePool pool_;
  const ExportMetrics export_metrics_{host()};
  bh_trace_sink sink_{};
  bh_log_sink log_sink_{};
  std::array<uint32_t, 5> decisions_{};
  uint32_t factor_ = 0, dropped_spans_ = 0;
  uint64_t report_ = 0;
  std::unique_ptr<Exporter<ExportedTrace>> traces_;
  std::unique_ptr<Exporter<LogRecord>> logs_;
};

constexpr bh_need kOffers[] = {bulkhead::service(BH_TRACE_SINK_ID, BH_TRACE_SINK_VERSION),
                               bulkhead::service(BH_LOG_SINK_ID, BH_LOG_SINK_VERSION)};
// Its headers belong to one request: what is kept of an answer for others is taken before they are added.
constexpr bh_str kBefore[] = {bulkhead::to_str("cache")};

}  // namespace tracing

BULKHEAD_PLUGIN(tracing::Tracing, "tracing", "1.0.0", "W3C trace context, spans, and their export by OTLP.",
                .schema = tracing_embedded::schema_json, .offers = tracing::kOffers, .before = tracing::kBefore)
