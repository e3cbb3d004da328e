// Limits and deadlines of the engine. core/config/schema.json has their defaults.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/http/client_address.hpp"

namespace bulkhead::http {

struct Limits {
  size_t connections = 0;
  size_t pipelined = 0;         // requests of one connection at once
  size_t request_line = 0;      // 414
  size_t header = 0;            // 431
  size_t header_fields = 0;     // 431
  size_t body = 0;              // 413, unless the route says otherwise
  size_t bodies_in_memory = 0;  // 503
  size_t queued = 0;            // of one connection's requests and answers; past it no further one is begun
};

struct Timeouts {  // milliseconds
  uint32_t header = 0;
  uint32_t body = 0;
  uint32_t idle = 0;
  uint32_t write = 0;  // without progress
  uint32_t drain = 0;
};

struct Settings {
  Limits limits;
  Timeouts timeouts;
  TrustedProxies proxies;
  Nat64 nat64;
  size_t io_threads = 0;
};

}  // namespace bulkhead::http
