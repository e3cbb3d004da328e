// Acceptor: takes connections from the listening sockets and gives each to the I/O thread with the
// fewest.
//
// Every I/O thread has one. Two are on, since a plugin may hold up the thread of one; not more,
// since a new connection wakes each.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "core/http/loop.hpp"
#include "core/runtime/deadline.hpp"

namespace bulkhead::http {

class IoThread;
class Server;

// One I/O thread, but for what is marked [any].
class Acceptor final : public runtime::DeadlineEntry {
 public:
  Acceptor(IoThread& io, Server& server) : io_(io), server_(server) {}

  void begin(Loop& loop);
  void ended();
  // [any] Begins to accept, or leaves that to others.
  void turn(bool on);
  bool on() const { return on_.load(std::memory_order_acquire); }

  // Whether a tag of the loop is a listener's.
  static bool owns(uint64_t tag) { return (tag & 3) == kTag; }
  void ready(uint64_t tag) { accept_from(tag >> 2); }
  // Accepts what has connected already, and nothing any more.
  void finish();

 private:
  static constexpr uint64_t kTag = 3;  // connections' tags are addresses, aligned

  void expired() override;
  void watch(bool on);
  // False once no connection waits, or none can be accepted.
  bool accept_from(size_t index);

  IoThread& io_;
  Server& server_;
  std::mutex mutex_;  // of what follows
  Loop* loop_ = nullptr;
  std::atomic<bool> on_{false};
  bool watching_ = false;  // else off, or paused for want of descriptors
};

}  // namespace bulkhead::http
