// Acceptor: takes connections from the listening sockets and gives each to the I/O thread with the
// fewest.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/http/loop.hpp"
#include "core/runtime/deadline.hpp"

namespace bulkhead::http {

class IoThread;
class Server;

// One I/O thread.
class Acceptor final : public runtime::DeadlineEntry {
 public:
  Acceptor(IoThread& io, Server& server) : io_(io), server_(server) {}

  void begin(Loop& loop);
  void ended() { loop_ = nullptr; }
  // Whether a tag of the loop is a listener's.
  static bool owns(uint64_t tag) { return (tag & 3) == kTag; }
  void ready(uint64_t tag) { accept_from(tag >> 2); }
  // Accepts what has connected already, then closes the listening sockets.
  void close();

 private:
  static constexpr uint64_t kTag = 3;  // connections' tags are addresses, aligned

  void expired() override { watch(true); }
  void watch(bool on);
  // False once no connection waits, or none can be accepted.
  bool accept_from(size_t index);

  IoThread& io_;
  Server& server_;
  Loop* loop_ = nullptr;
  bool watching_ = false;
};

}  // namespace bulkhead::http
