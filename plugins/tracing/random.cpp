#include "random.hpp"

#include <sys/random.h>

#include <cstring>
#include <stdexcept>

namespace tracing {

namespace {

// SplitMix64 (Steele, Lea, Flood 2014), one stream a thread. No destructor: it would pin the
// library.
uint64_t next() {
  static thread_local uint64_t state = 0;
  if (state == 0 && getrandom(&state, sizeof state, 0) != sizeof state) throw std::runtime_error("no random numbers");
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

TraceId random_trace_id() {
  TraceId id;
  uint64_t parts[2] = {next() | 1, next()};  // never all zero
  std::memcpy(id.data(), parts, sizeof parts);
  return id;
}

SpanId random_span_id() {
  SpanId id;
  uint64_t part = next();
  while (part == 0) part = next();
  std::memcpy(id.data(), &part, sizeof part);
  return id;
}

double random_unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

}  // namespace tracing
