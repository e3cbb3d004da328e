// HostThread: what each thread of the host has beside its work: a stack for signal handlers, since
// an overflow of its own leaves none to tell of it on, and a place in the list of threads that can
// be asked where they are.
#pragma once

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <mutex>
#include <vector>

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

class ThreadList {
 public:
  void add(pthread_t thread) {
    const std::lock_guard lock(mutex_);
    threads_.push_back(thread);
  }
  void remove(pthread_t thread) {
    const std::lock_guard lock(mutex_);
    std::erase_if(threads_, [&](pthread_t each) { return ::pthread_equal(each, thread) != 0; });
  }
  template <typename Work>
  void each(Work work) {
    const std::lock_guard lock(mutex_);
    for (const pthread_t thread : threads_) work(thread);
  }

 private:
  std::mutex mutex_;
  std::vector<pthread_t> threads_;
};

// Never destroyed: threads may end after main() has.
inline ThreadList& thread_list() {
  static auto& list = *new ThreadList;
  return list;
}

class HostThread {
 public:
  HostThread() { thread_list().add(::pthread_self()); }
  ~HostThread() { thread_list().remove(::pthread_self()); }
  HostThread(const HostThread&) = delete;
  HostThread& operator=(const HostThread&) = delete;

 private:
  const HandlerStack stack_;
};

}  // namespace detail

// The calling thread is one of the host's, as long as it lives.
inline void become_host_thread() { thread_local const detail::HostThread thread; }

// [any] Calls work(pthread_t) for each; meanwhile none of them ends.
template <typename Work>
void for_each_host_thread(Work work) {
  detail::thread_list().each(work);
}

}  // namespace bulkhead::runtime
