// Executor: a bounded queue and a fixed number of threads, for steps that block.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace bulkhead::runtime {

// Plain words, so that queueing allocates nothing.
struct Task {
  void (*run)(const Task& task) = nullptr;
  void* a = nullptr;
  const void* b = nullptr;
  const void* c = nullptr;
  uint64_t d = 0;
};

class Executor {
 public:
  Executor(size_t threads, size_t queue);
  ~Executor() { stop(); }
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // [any] False when the queue is full or stopped. `force` passes the bound: for work that is
  // bounded by the number of exchanges anyway and must not be lost.
  bool submit(const Task& task, bool force = false);
  // Runs what is queued, then joins the threads.
  void stop();
  struct Figures {
    size_t queued = 0;
    uint64_t taken = 0, waited_ns = 0;  // tasks that left the queue, and how long they were in it together
  };
  Figures figures() const;

 private:
  void work();

  const size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  struct Queued {
    Task task;
    uint64_t since_ns = 0;
  };
  std::vector<Queued> ring_;
  size_t head_ = 0, count_ = 0;
  uint64_t taken_ = 0, waited_ns_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bulkhead::runtime
