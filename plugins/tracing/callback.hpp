// What the callbacks of services need: nothing is thrown into the host.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>

namespace tracing {

// What there is no memory for is not told.
template <typename Body>
void unthrown(Body body) noexcept {
  try {
    body();
  } catch (const std::exception&) {
  }
}

inline uint64_t unix_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

}  // namespace tracing
