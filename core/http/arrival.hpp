// Arrival: a connection on its way to the I/O thread that will serve it.
#pragma once

#include <cstdint>
#include <string>

#include "core/chain/runner.hpp"
#include "core/http/stream.hpp"
#include "core/http/tls.hpp"

namespace bulkhead::http {

struct Arrival {
  Stream stream;
  chain::Runner* runner;
  tls::Context* tls;  // of the listener; null in the clear
  std::string peer;
  uint32_t port;
  // Of one that another thread had before:
  bool open = false;    // its handshake is over
  bool served = false;  // a request of it has begun
  bool moved = false;
};

}  // namespace bulkhead::http
