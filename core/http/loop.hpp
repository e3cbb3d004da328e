// Loop: threads that wait for file descriptors. Pistache's reactor does it; loop.cpp is the only
// file that knows.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace bulkhead::http {

class Loop;

// What runs on one thread of a loop.
class LoopThread {
 public:
  // On the thread that starts and stops the loop: before the first batch and after the last one.
  // `loop` is not used after ended().
  virtual void begin(Loop& loop) = 0;
  virtual void ended() = 0;

  // On the loop's thread. Events come in batches.
  virtual void batch_began() = 0;
  // Neither readable nor writable: the descriptor's other end hung up.
  virtual void ready(uint64_t tag, bool readable, bool writable) = 0;
  virtual void batch_ended() = 0;

 protected:
  ~LoopThread() = default;
};

// One thread's part of the loop. [any] thread, between begin() and ended().
class Loop {
 public:
  virtual void watch(int fd, uint64_t tag, bool read, bool write) = 0;
  virtual void rearm(int fd, uint64_t tag, bool read, bool write) = 0;
  virtual void unwatch(int fd) = 0;

 protected:
  ~Loop() = default;
};

// The threads. Their names begin with "bh-io".
class LoopThreads {
 public:
  // Starts one thread for each of `threads`, which outlive this.
  explicit LoopThreads(const std::vector<LoopThread*>& threads);
  // Stops and joins them.
  ~LoopThreads();
  LoopThreads(const LoopThreads&) = delete;
  LoopThreads& operator=(const LoopThreads&) = delete;

 private:
  class Reactor;
  std::unique_ptr<Reactor> reactor_;
};

}  // namespace bulkhead::http
