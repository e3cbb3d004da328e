// The generic cell rate algorithm: one number a caller, the theoretical arrival time (TAT) of the
// next request.
//
// ITU-T I.371 (the virtual scheduling form). A request takes `interval`; as many as `burst` may
// come at once.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ratelimit {

// Nanoseconds, or whatever unit the caller's clock has.
struct Rate {
  int64_t interval = 0;  // of one request, at the sustained rate
  int64_t burst = 1;     // requests
};

struct Decision {
  bool allowed = false;
  int64_t tat = 0;        // to be kept; as before where it is not allowed
  int64_t remaining = 0;  // requests that could follow at once
  int64_t wait = 0;       // until one is allowed, 0 = now
  int64_t full = 0;       // until `burst` requests could follow at once
};

constexpr Decision decide(const Rate& rate, int64_t tat, int64_t now) {
  const int64_t tolerance = rate.interval * (rate.burst - 1);
  tat = std::min(tat, now + tolerance + rate.interval);  // of another limit, or of a clock that was ahead
  // A request late by less than half an interval costs nothing: else each delay would lower the
  // promised rate.
  const int64_t from = tat < now - rate.interval / 2 ? now : tat;
  Decision decision;
  decision.allowed = from - tolerance <= now;
  decision.tat = decision.allowed ? from + rate.interval : tat;
  const int64_t ahead = std::max<int64_t>(0, decision.tat - now);
  decision.full = ahead;
  decision.remaining =
      rate.interval == 0 ? rate.burst : std::max<int64_t>(0, (tolerance + rate.interval - ahead) / rate.interval);
  if (!decision.allowed) decision.wait = from - tolerance - now;
  return decision;
}

}  // namespace ratelimit
