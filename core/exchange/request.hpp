// Request: what the caller sent, as plugins see it, and the memory its views point into.
//
// Written on the home thread, by the protocol and the router. Plugins read it on any thread while
// they hold the exchange; route, parameters and body change between steps alone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.h"
#include "bulkhead/value.hpp"
#include "core/runtime/arena.hpp"
#include "core/runtime/slab.hpp"

namespace bulkhead::exchange {

class Home;

struct Request : bh_request {
  Request() : bh_request{} {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  // Memory with the request's life. Home thread.
  char* allocate(size_t count) { return arena_.allocate(count); }
  std::string_view copy(std::string_view text) { return arena_.copy(text); }

  // The request with the fields blanked that carry credentials. Made once a variant, brought up to
  // date with routing and the body.
  const bh_request* blanked(bool authorization, bool cookie);

  // The trace it belongs to (W3C trace-context). The ids are set once, before routing, on the home
  // thread. [any] reads.
  void set_trace(const uint8_t (&trace)[16], const uint8_t (&span)[8], uint32_t w3c_flags);
  bool traced() const { return trace_state_.load(std::memory_order_acquire) != 0; }
  uint32_t trace_flags() const { return trace_state_.load(std::memory_order_acquire) & ~kTraced; }

  // For the next request: memory goes back to `home`.
  void clear(Home& home);

  std::vector<bh_pair> fields;         // behind bh_request::headers
  std::array<bh_pair, 16> captured{};  // behind bh_request::params
  std::string_view match_path;         // as sent, dot segments resolved
  bool has_authorization = false, has_cookie = false;
  bool body_complete = true;
  bool body_coded = false;  // has a Content-Encoding
  std::string body_text;    // a body that came in chunks or in a content coding, decoded
  runtime::SlabRef head_slab, body_slab;
  size_t body_charge = 0;  // bytes that count against the limit for all bodies
  uint64_t bytes = 0;      // received, head and body
  char id_buffer[40], peer_buffer[48];

 private:
  static constexpr uint32_t kTraced = 1u << 31;
  struct Variant {
    bh_request view{};
    std::vector<bh_pair> fields;
    bool made = false;
  };

  std::array<Variant, 3> variants_;
  std::atomic<uint32_t> trace_state_{0};  // W3C flags | kTraced
  runtime::Arena arena_;
};

}  // namespace bulkhead::exchange
