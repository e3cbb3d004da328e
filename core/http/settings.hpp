// Limits and deadlines of the engine. Defaults are the design's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/http/client_address.hpp"

namespace bulkhead::http {

struct Limits {
  size_t connections = 10'000;
  size_t pipelined = 64;                        // requests of one connection at once
  size_t request_line = 8 * 1024;               // 414
  size_t header = 32 * 1024;                    // 431
  size_t header_fields = 100;                   // 431
  size_t body = 1024 * 1024;                    // 413, unless the route says otherwise
  size_t bodies_in_memory = 256 * 1024 * 1024;  // 503
  size_t queued = 1024 * 1024;  // of one connection's requests and answers; past it no further one is begun
};

struct Timeouts {  // milliseconds
  uint32_t header = 5'000;
  uint32_t body = 15'000;
  uint32_t idle = 60'000;
  uint32_t write = 30'000;  // without progress
  uint32_t drain = 20'000;
};

struct Settings {
  Limits limits;
  Timeouts timeouts;
  TrustedProxies proxies;
  Nat64 nat64;
  size_t io_threads = 2;
};

}  // namespace bulkhead::http
