#include "exporter.hpp"

#include <algorithm>
#include <array>

#include "bulkhead/net/authority.hpp"

namespace tracing {

namespace {
constexpr size_t kMaxReason = 256;  // of a text that others wrote
}

ExportMetrics::ExportMetrics(const bulkhead::Host& host) : host_(host) {
  static constexpr std::array<std::string_view, 1> kSignal = {"signal"};
  static constexpr std::array<std::string_view, 2> kReason = {"signal", "reason"}, kResult = {"signal", "result"};
  exported_ = host.metric(BH_COUNTER, "otlp_exported_total", "Spans and log lines the collector has taken.", kSignal);
  dropped_ = host.metric(BH_COUNTER, "otlp_dropped_total",
                         "Spans and log lines lost: the queue was full, the export failed, or the collector refused.",
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
    host_.record(delivered.passing ? metrics_.failed : metrics_.refused, count);
    return tell(delivered.passing ? State::kUnreachable : State::kRefused, delivered.error);
  }
  const Rejected rejected = parse_partial_success(delivered.body, json());
  const double lost = std::min(count, static_cast<double>(rejected.count));
  host_.record(metrics_.exported, count - lost);
  if (lost > 0) host_.record(metrics_.rejected, lost);
  tell(lost > 0 || !rejected.why.empty() ? State::kPartly : State::kGood, rejected.why.substr(0, kMaxReason));
}

// Once when it begins, once when it is over: a collector that is down for a night is two lines.
void Sender::tell(State state, const std::string& problem) {
  if (state == told_) return;
  told_ = state;
  if (state == State::kGood) return host_.info("exports reach the collector again", {{"signal", signal_}});
  host_.warn(state == State::kPartly ? "the collector does not take all that is exported"
                                     : "exports do not reach the collector; they are dropped and counted",
             {{"signal", signal_}, {"url", shown_url_}, {"error", problem}});
}

std::string show_url(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t scheme = url.find("://");
  const size_t host = scheme == std::string_view::npos ? 0 : scheme + 3;
  const size_t path = std::min(url.find('/', host), url.size());
  const bulkhead::Authority authority = bulkhead::split_authority(url.substr(host, path - host));
  return std::string(url.substr(0, host)).append(authority.hosts).append(url.substr(path));
}

}  // namespace tracing
