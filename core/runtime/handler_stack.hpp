// A stack for signal handlers, one for each thread: an overflow of a thread's own stack leaves none
// to tell of it on.
#pragma once

#include <sys/mman.h>

#include <csignal>
#include <cstddef>

namespace bulkhead::runtime {

namespace detail {

class HandlerStack {
 public:
  HandlerStack() {
    stack_t old{};
    if (::sigaltstack(nullptr, &old) != 0 || (old.ss_flags & SS_DISABLE) == 0) return;  // a sanitizer's
    memory_ = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) return;
    stack_t own{};
    own.ss_sp = memory_;
    own.ss_size = kSize;
    ::sigaltstack(&own, nullptr);
  }
  ~HandlerStack() {
    if (memory_ == MAP_FAILED) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    ::sigaltstack(&none, nullptr);
    ::munmap(memory_, kSize);
  }
  HandlerStack(const HandlerStack&) = delete;
  HandlerStack& operator=(const HandlerStack&) = delete;

 private:
  static constexpr size_t kSize = 64 * 1024;
  void* memory_ = MAP_FAILED;
};

}  // namespace detail

// For the calling thread, as long as it lives.
inline void prepare_handler_stack() { thread_local const detail::HandlerStack stack; }

}  // namespace bulkhead::runtime
