#include "core/runtime/ticks.hpp"

namespace bulkhead::runtime {

namespace {
struct Instant {
  uint64_t ns = now_ns(), tick = ticks();
};
const Instant kBegin;
}  // namespace

double ns_per_tick() {
  const Instant now;
  return now.tick > kBegin.tick ? static_cast<double>(now.ns - kBegin.ns) / static_cast<double>(now.tick - kBegin.tick)
                                : 1.0;
}

}  // namespace bulkhead::runtime
