// Gate: lets another thread work on what belongs to a thread that is held up inside a plugin.
//
// The owner opens it before it enters a plugin and closes it behind, which costs it no atomic
// read-modify-write: the visitor makes up for that with membarrier(2), as in Dekker's algorithm
// with an asymmetric fence. While the gate is open the owner touches nothing that visitors touch.
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace bulkhead::runtime {

class Gate {
 public:
  // Once, before the first visit. False where the system does not let the process do this.
  static bool prepare() { return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0; }

  // ---- the owner
  class Open {
   public:
    // Null: no gate.
    explicit Open(Gate* gate) : gate_(gate) {
      if (gate_ != nullptr) gate_->open_.store(true, std::memory_order_release);
    }
    ~Open() {
      if (gate_ != nullptr) gate_->close();
    }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    Gate* const gate_;
  };
  bool is_open() const { return open_.load(std::memory_order_relaxed); }

  // ---- one visitor
  // Runs `work` where the gate is open; the owner, should it come back, waits until that is done.
  // False where it is closed.
  template <typename Work>
  bool visit(Work work) {
    const Visit visit(visited_);
    ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    const bool open = open_.load(std::memory_order_acquire);
    if (open) work();
    return open;
  }

 private:
  class Visit {
   public:
    explicit Visit(std::atomic<bool>& visited) : visited_(visited) { visited_.store(true, std::memory_order_relaxed); }
    ~Visit() {
      visited_.store(false, std::memory_order_release);
      visited_.notify_one();
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    std::atomic<bool>& visited_;
  };

  void close() {
    open_.store(false, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // for the compiler; the visitor sees to the processor
    while (visited_.load(std::memory_order_acquire)) visited_.wait(true, std::memory_order_acquire);
  }

  std::atomic<bool> open_{false}, visited_{false};
};

}  // namespace bulkhead::runtime
