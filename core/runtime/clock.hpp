// The one clock: monotonic nanoseconds. Deadlines, durations and timers are on it.
#pragma once

#include <ctime>

#include <atomic>
#include <cstdint>

namespace bulkhead::runtime {

// How far a test has moved the clock; 0 in a host that serves.
inline std::atomic<uint64_t> clock_shift_ns{0};

inline uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec) +
         clock_shift_ns.load(std::memory_order_relaxed);
}

}  // namespace bulkhead::runtime
