#include "spans.hpp"

#include <cstring>

#include "bulkhead/status.hpp"
#include "callback.hpp"
#include "random.hpp"
#include "server_span.hpp"

namespace tracing {

using bulkhead::Request;
using bulkhead::to_view;

namespace {

struct Unref {
  void operator()(Trace* trace) const { trace->unref(); }
};
constexpr bulkhead::Attachment<Trace> kTrace{"trace"};

uint64_t number_of(const SpanId& id) {
  uint64_t number = 0;
  std::memcpy(&number, id.data(), sizeof number);
  return number;
}

}  // namespace

Spans::Spans(const bulkhead::Host& host, const Settings& settings, const Encoder& encoder, const ExportMetrics& metrics)
    : host_(host),
      settings_(settings),
      encoder_(encoder),
      metrics_(metrics),
      sampler_(settings.sampler),
      pool_(settings.limits) {
  publish();
  if (!settings_.export_traces) return;
  static constexpr std::array<std::string_view, 1> kDecision = {"decision"};
  const uint32_t traces =
      host_.metric(BH_COUNTER, "tracing_traces_total", "Requests by the sampling decision when they ended.", kDecision);
  const std::array<std::string_view, 5> names = {"head", "error", "slow", "unsampled", "over_budget"};
  for (size_t i = 0; i < names.size(); ++i)
    decisions_[i] = host_.series(traces, std::array<std::string_view, 1>{names[i]});
  factor_ = host_.series(host_.metric(BH_GAUGE, "tracing_sampling_factor_ratio",
                                      "Factor that the budget of spans applies to the sampled share."));
  dropped_ =
      host_.series(host_.metric(BH_COUNTER, "tracing_spans_dropped_total", "Spans past the limit of their trace."));
}

void Spans::publish() {
  sink_.flags = settings_.steps ? uint32_t{BH_TRACE_STEPS} : 0;
  sink_.begin = [](void* self, bh_str plugin, bh_exchange* ex, void* parent, int32_t kind, bh_str name) -> void* {
    void* span = nullptr;
    unthrown([&] {
      span = static_cast<Spans*>(self)->begin(to_view(plugin), ex, static_cast<Span*>(parent), kind, to_view(name));
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
    const bool in = static_cast<Spans*>(self)->decide(*s.trace, {});
    const TraceParent parent{s.trace->trace_id, s.id, flags_of(*s.trace, in)};
    write_traceparent(parent, *reinterpret_cast<char(*)[56]>(out));
  };
  sink_.end = [](void* self, void* span, bh_status outcome) {
    unthrown([&] { static_cast<Spans*>(self)->end(*static_cast<Span*>(span), outcome); });
  };
  host_.publish(BH_TRACE_SINK_ID, BH_TRACE_SINK_VERSION, &sink_, this);
}

void Spans::start() {
  if (!settings_.export_traces) return;
  exporter_ = std::make_unique<Exporter<ExportedTrace>>(
      metrics_, "traces", settings_.traces, settings_.batch,
      Exporter<ExportedTrace>::Functions{
          [this](std::vector<ExportedTrace>& batch, bool json) {
            const uint64_t epoch = unix_ns() - host_.now_ns();
            return json ? encoder_.traces_json(batch, epoch) : encoder_.traces_protobuf(batch, epoch);
          },
          [](const ExportedTrace& item) { return item.count; }, [](ExportedTrace& item) { item.trace->unref(); }});
  timer_ = host_.every(1000, [this] { report(); });
}

void Spans::stop(std::chrono::milliseconds patience) {
  timer_ = {};
  if (exporter_) exporter_->stop(patience);
}

void Spans::join() {
  if (exporter_) exporter_->join();
}

void Spans::report() {
  sampler_.tick(host_.now_ns());
  host_.record(factor_, sampler_.factor());
  if (const uint64_t dropped = pool_.dropped_spans.exchange(0); dropped != 0)
    host_.record(dropped_, static_cast<double>(dropped));
}

void Spans::begin_request(const Request& request, const TraceId& trace_id, const SpanId& span_id,
                          const std::optional<TraceParent>& parent, std::string_view state) {
  Trace& trace = pool_.take();
  trace.trace_id = trace_id;
  trace.span_id = span_id;
  trace.remote = parent.has_value();
  trace.flags = parent ? parent->flags : uint8_t{kRandom};
  if (parent) trace.parent_id = parent->span_id;
  trace.state = trace.copy(state);
  trace.ref();  // the exchange's; the one of take() goes to end_request()
  request.attach(kTrace, std::unique_ptr<Trace, Unref>(&trace));
}

Trace* Spans::find(bh_exchange* ex) const {
  Trace* trace = host_.view(ex).attached(kTrace);
  if (trace != nullptr) trace->ref();
  return trace;
}

bool Spans::decide(Trace& trace, std::optional<std::string_view> route) const {
  Trace::Head head = trace.head.load(std::memory_order_acquire);
  if (head != Trace::Head::kUndecided) return head == Trace::Head::kIn;
  const bool in = sampler_.head(trace.trace_id, trace.remote, trace.flags, route);
  trace.head.compare_exchange_strong(head, in ? Trace::Head::kIn : Trace::Head::kOut, std::memory_order_acq_rel);
  return head == Trace::Head::kUndecided ? in : head == Trace::Head::kIn;
}

bool Spans::end_request(Trace& trace, const Request& request, const bulkhead::Outcome& outcome) {
  const uint64_t end_ns = request.received_ns() + outcome.duration_ns;
  const Decision decision = sampler_.tail(decide(trace, request.route()), outcome.status, outcome.duration_ns,
                                          trace.span_count() + 1, end_ns);
  host_.record(decisions_[static_cast<size_t>(decision)], 1);
  if (decision == Decision::kUnsampled || decision == Decision::kOverBudget) {
    trace.close(false);
    trace.unref();
    return false;
  }
  Span& span = *trace.begin(BH_SPAN_SERVER, server_span_name(request), {}, trace.parent_id, request.received_ns(),
                            Trace::Place::kReserved);
  span.id = trace.span_id;
  describe_server_span(trace, span, request, outcome, settings_.redact_query);
  trace.end(span, end_ns, outcome.status >= 500, {});  // by the conventions the status says enough
  send(trace, trace.close(true));
  return true;
}

// Hands over one reference.
void Spans::send(Trace& trace, Span* first) {
  uint32_t count = 0;
  for (const Span* s = first; s != nullptr; s = s->next) ++count;
  exporter_->add({&trace, first, count});
}

Span* Spans::begin(std::string_view plugin, bh_exchange* ex, Span* parent, int32_t kind, std::string_view name) {
  if (!exporter_) return nullptr;
  Trace* trace = nullptr;
  SpanId above{};
  if (parent != nullptr) {
    trace = parent->trace;
    trace->ref();
    above = parent->id;
  } else if (ex != nullptr) {
    trace = find(ex);
    if (trace == nullptr) return nullptr;
    above = trace->span_id;
    const uint64_t step = trace->step.load(std::memory_order_relaxed);
    if (step != 0 && kind != BH_SPAN_STEP) std::memcpy(above.data(), &step, sizeof step);
  } else {
    trace = &begin_root();
  }
  const bool is_step = kind == BH_SPAN_STEP;
  Span* span = trace->begin(is_step ? int32_t{BH_SPAN_INTERNAL} : kind, name, plugin, above, host_.now_ns());
  if (span != nullptr && is_step) trace->step.store(number_of(span->id), std::memory_order_relaxed);
  trace->unref();
  return span;
}

Trace& Spans::begin_root() {
  Trace& trace = pool_.take();
  trace.trace_id = random_trace_id();
  trace.flags = kRandom;
  trace.close(decide(trace, {}));
  return trace;
}

void Spans::end(Span& span, bh_status outcome) {
  Trace& trace = *span.trace;
  uint64_t id = number_of(span.id);
  trace.step.compare_exchange_strong(id, 0, std::memory_order_relaxed);
  const uint64_t now = host_.now_ns();
  if (!trace.end(span, now, outcome < 0, bulkhead::status_text(outcome))) return;
  if (sampler_.admit(1, now))
    send(trace, &span);
  else
    trace.unref();
}

}  // namespace tracing
