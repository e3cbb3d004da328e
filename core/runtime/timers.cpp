#include "core/runtime/timers.hpp"

#include <pthread.h>

#include <chrono>

#include "core/runtime/clock.hpp"
#include "core/runtime/handler_stack.hpp"

namespace bulkhead::runtime {

Timers::Timers() : thread_([this] { work(); }) { pthread_setname_np(thread_.native_handle(), "bh-timers"); }

uint64_t Timers::start(uint64_t delay_ms, uint64_t period_ms, std::function<void()> run) {
  const uint64_t at = now_ns() + delay_ms * 1'000'000;
  uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = next_id_++;
    timers_.emplace(id, Timer{at, period_ms, std::move(run)});
    due_.emplace(std::pair(at, id), id);
  }
  changed_.notify_one();
  return id;
}

bool Timers::cancel(uint64_t id) {
  std::unique_lock lock(mutex_);
  const auto it = timers_.find(id);
  const bool found = it != timers_.end();
  if (found) {
    due_.erase({it->second.at_ns, id});
    timers_.erase(it);
    finished_.notify_all();  // settle() may wait for it
  }
  if (std::this_thread::get_id() != thread_.get_id()) finished_.wait(lock, [&] { return running_ != id; });
  return found;
}

void Timers::settle() {
  std::unique_lock lock(mutex_);
  changed_.notify_one();
  finished_.wait(lock, [this] { return running_ == 0 && (due_.empty() || due_.begin()->first.first > now_ns()); });
}

void Timers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Timers::work() {
  prepare_handler_stack();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (due_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto [key, id] = *due_.begin();
    const uint64_t now = now_ns();
    if (key.first > now) {
      changed_.wait_for(lock, std::chrono::nanoseconds(key.first - now));
      continue;
    }
    due_.erase(due_.begin());
    const auto it = timers_.find(id);
    const std::function<void()> run = it->second.run;
    if (it->second.period_ms == 0) {
      timers_.erase(it);
    } else {
      it->second.at_ns = now + it->second.period_ms * 1'000'000;
      due_.emplace(std::pair(it->second.at_ns, id), id);
    }
    running_ = id;
    lock.unlock();
    run();
    lock.lock();
    running_ = 0;
    finished_.notify_all();
  }
}

}  // namespace bulkhead::runtime
