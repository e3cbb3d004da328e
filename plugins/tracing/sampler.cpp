#include "sampler.hpp"

#include <algorithm>

#include "bulkhead/text/glob.hpp"

namespace tracing {

namespace {
constexpr uint64_t kSecond = 1'000'000'000;
// Of the budget, for what the head's share brings: the rest is for errors and slow requests.
constexpr double kHeadShare = 0.8;
}  // namespace

bool in_share(const TraceId& trace_id, double share) {
  uint64_t randomness = 0;
  for (size_t i = 9; i < trace_id.size(); ++i) randomness = randomness << 8 | trace_id[i];
  return share > 0 && static_cast<double>(randomness) >= (1 - share) * 0x1p56;
}

bool Sampler::head(const TraceId& trace_id, bool remote, uint8_t remote_flags,
                   std::optional<std::string_view> route) const {
  if (remote && settings_.parent_based && settings_.trust_sampled) return (remote_flags & kSampled) != 0;
  double ratio = settings_.ratio;
  for (const SamplingRule& rule : settings_.rules) {
    if (!route || !(rule.route.empty() ? route->empty() : bulkhead::glob_match(rule.route, *route))) continue;
    ratio = rule.ratio;
    break;
  }
  return in_share(trace_id, ratio * factor());
}

Decision Sampler::tail(bool head, int status, uint64_t duration_ns, uint32_t spans, uint64_t now_ns) {
  const bool error = status >= 500, slow = duration_ns >= uint64_t{settings_.slow_ms} * 1'000'000;
  if (!head && !error && !slow) return Decision::kUnsampled;
  if (settings_.max_spans_per_second != 0 && !spend(head && !error && !slow, spans, now_ns))
    return Decision::kOverBudget;
  if (head) return Decision::kHead;
  return error ? Decision::kError : Decision::kSlow;
}

void Sampler::tick(uint64_t now_ns) {
  if (settings_.max_spans_per_second == 0) return;
  const std::lock_guard lock(mutex_);
  adapt(now_ns);
}

bool Sampler::admit(uint32_t spans, uint64_t now_ns) {
  return settings_.max_spans_per_second == 0 || spend(false, spans, now_ns);
}

bool Sampler::spend(bool head, uint32_t spans, uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  adapt(now_ns);
  if (head) head_spent_ += spans;
  if (spent_ + spans > settings_.max_spans_per_second) return false;
  spent_ += spans;
  return true;
}

// Once a second: towards the share that would have brought what the budget has for it.
void Sampler::adapt(uint64_t now_ns) {
  const uint64_t second = now_ns / kSecond;
  if (second <= second_) return;  // threads come to the lock in any order
  if (second_ != 0) {
    const double seconds = static_cast<double>(second - second_);
    const double wanted = kHeadShare * static_cast<double>(settings_.max_spans_per_second);
    const double change = wanted * seconds / std::max(1.0, static_cast<double>(head_spent_));
    factor_.store(std::clamp(factor() * std::min(change, 2.0), 1e-6, 1.0), std::memory_order_relaxed);
  }
  second_ = second;
  spent_ = head_spent_ = 0;
}

}  // namespace tracing
