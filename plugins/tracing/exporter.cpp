#include "exporter.hpp"

#include <array>

namespace tracing {

ExportMetrics::ExportMetrics(const bulkhead::Host& host) : host_(host) {
  static constexpr std::array<std::string_view, 1> kSignal = {"signal"};
  static constexpr std::array<std::string_view, 2> kReason = {"signal", "reason"}, kResult = {"signal", "result"};
  exported_ = host.metric(BH_COUNTER, "otlp_exported_total", "Spans and log lines the collector has taken.", kSignal);
  dropped_ = host.metric(BH_COUNTER, "otlp_dropped_total",
                         "Spans and log lines lost: the queue was full, the export failed, or the collector said so.",
                         kReason);
  queued_ = host.metric(BH_GAUGE, "otlp_queue_items", "Spans and log lines that wait for the next batch.", kSignal);
  requests_ =
      host.metric(BH_COUNTER, "otlp_exports_total", "Batches by how their export ended, retries included.", kResult);
  seconds_ = host.metric(BH_HISTOGRAM, "otlp_export_seconds", "Time a batch took, retries included.", kSignal);
}

ExportMetrics::Signal ExportMetrics::of(std::string_view signal) const {
  const auto series = [&](uint32_t metric, std::string_view second = {}) {
    const std::array<std::string_view, 2> labels = {signal, second};
    return host_.series(metric, std::span(labels).first(second.empty() ? 1 : 2));
  };
  return {series(exported_),
          series(dropped_, "queue_full"),
          series(dropped_, "export_failed"),
          series(dropped_, "rejected"),
          series(dropped_, "refused"),
          series(queued_),
          series(requests_, "success"),
          series(requests_, "failure"),
          series(seconds_)};
}

void Sender::send(const std::string& body, uint64_t items) {
  const uint64_t begin = host_.now_ns();
  const Delivered delivered = delivery_.deliver(body);
  host_.record(metrics_.seconds, static_cast<double>(host_.now_ns() - begin) * 1e-9);
  host_.record(delivered.good ? metrics_.good : metrics_.bad, 1);
  const auto count = static_cast<double>(items);
  if (!delivered.good) {
    host_.record(is_retryable(delivered.status) ? metrics_.failed : metrics_.refused, count);
    return tell(delivered.error);
  }
  const Rejected rejected = parse_partial_success(delivered.body, json());
  const double lost = std::min(count, static_cast<double>(rejected.count));
  host_.record(metrics_.exported, count - lost);
  if (lost > 0) host_.record(metrics_.rejected, lost);
  tell(lost > 0 ? "the collector rejected a part: " + rejected.why : "");
}

// Once when it begins, once when it is over: a collector that is down for a night is two lines.
void Sender::tell(const std::string& problem) {
  if (problem == problem_) return;
  if (problem.empty())
    host_.info("exports reach the collector again", {{"signal", signal_}});
  else
    host_.warn("exports do not reach the collector; what they hold is dropped and counted",
               {{"signal", signal_}, {"url", delivery_.settings().url}, {"error", problem}});
  problem_ = problem;
}

}  // namespace tracing
