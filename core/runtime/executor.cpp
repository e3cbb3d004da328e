#include "core/runtime/executor.hpp"

#include <pthread.h>

#include <algorithm>

#include "core/runtime/clock.hpp"
#include "core/runtime/host_thread.hpp"

namespace bulkhead::runtime {

Executor::Executor(size_t threads, size_t queue) : limit_(queue), ring_(std::max<size_t>(queue, 16)) {
  for (size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { work(); });
    pthread_setname_np(threads_.back().native_handle(), "bh-executor");
  }
}

bool Executor::submit(const Task& task, bool force) {
  const uint64_t now = now_ns();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || (!force && count_ >= limit_)) return false;
    if (count_ == ring_.size()) {
      std::vector<Queued> larger(ring_.size() * 2);
      for (size_t i = 0; i < count_; ++i) larger[i] = ring_[(head_ + i) % ring_.size()];
      ring_.swap(larger);
      head_ = 0;
    }
    ring_[(head_ + count_++) % ring_.size()] = {task, now};
  }
  ready_.notify_one();
  return true;
}

void Executor::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

Executor::Figures Executor::figures() const {
  const std::lock_guard lock(mutex_);
  return {count_, taken_, waited_ns_};
}

void Executor::work() {
  become_host_thread();
  std::unique_lock lock(mutex_);
  while (true) {
    ready_.wait(lock, [this] { return stopping_ || count_ != 0; });
    if (count_ == 0) return;
    const Task task = ring_[head_].task;
    const uint64_t since = ring_[head_].since_ns, now = now_ns();
    head_ = (head_ + 1) % ring_.size();
    --count_;
    ++taken_;
    waited_ns_ += now > since ? now - since : 0;
    lock.unlock();
    task.run(task);
    lock.lock();
  }
}

}  // namespace bulkhead::runtime
