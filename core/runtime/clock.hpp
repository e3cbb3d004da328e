// The one clock: monotonic nanoseconds. Deadlines, durations and timers are on it.
#pragma once

#include <ctime>

#include <cstdint>

namespace bulkhead::runtime {

inline uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace bulkhead::runtime
