// Sampler: which traces are exported.
//
// Twice: at the beginning, by the caller's flag or a share of all trace ids (the answer and
// outbound calls carry that); and at the end, when errors and slow requests are kept whatever was
// said before. A budget of spans a second lowers the share while there is too much to tell, and is
// never passed.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "context.hpp"

namespace tracing {

struct SamplingRule {
  std::string route;  // glob over route patterns; "" = requests no route answers
  double ratio;
};

struct SamplerSettings {
  bool parent_based = true;   // a caller's flag decides, where there is one
  bool trust_sampled = true;  // ... and is believed
  double ratio = 0.1;
  std::vector<SamplingRule> rules = {};  // the first that fits replaces `ratio`
  uint32_t slow_ms = 1000;
  uint64_t max_spans_per_second = 0;  // 0: no limit
};

enum class Decision : uint8_t { kHead, kError, kSlow, kUnsampled, kOverBudget };

class Sampler {
 public:
  explicit Sampler(SamplerSettings settings) : settings_(std::move(settings)) {}

  // ---- [any]
  // `remote_flags` are the caller's; `remote` whether there was one. `route` where it is known.
  bool head(const TraceId& trace_id, bool remote, uint8_t remote_flags, std::optional<std::string_view> route) const;
  // Of a request that is over, with so many spans.
  Decision tail(bool head, int status, uint64_t duration_ns, uint32_t spans, uint64_t now_ns);
  // Of spans that no request brings, or that come after it.
  bool admit(uint32_t spans, uint64_t now_ns);
  // Once a second: a share that was lowered comes back also while nothing is sampled.
  void tick(uint64_t now_ns);
  // What the budget makes of every share, 0 to 1.
  double factor() const { return factor_.load(std::memory_order_relaxed); }

 private:
  bool spend(bool head, uint32_t spans, uint64_t now_ns);
  void adapt(uint64_t now_ns);

  const SamplerSettings settings_;
  std::atomic<double> factor_{1};
  std::mutex mutex_;  // what follows
  uint64_t second_ = 0, spent_ = 0, head_spent_ = 0;
};

// Whether an id is among this share of all ids: by its last 56 bits, so that every program that
// asks finds the same (OpenTelemetry, probability sampling).
bool in_share(const TraceId& trace_id, double share);

}  // namespace tracing
