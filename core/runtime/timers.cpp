#include "core/runtime/timers.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "core/runtime/clock.hpp"
#include "core/runtime/host_thread.hpp"

namespace bulkhead::runtime {

Timers::Timers(Executor& executor) : executor_(executor), thread_([this] { work(); }) {
  pthread_setname_np(thread_.native_handle(), "bh-timers");
}

uint64_t Timers::start(uint64_t delay_ms, uint64_t period_ms, std::function<void()> run, const void* owner) {
  const uint64_t at = now_ns() + delay_ms * 1'000'000;
  uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = next_id_++;
    timers_.emplace(id, Timer{at, period_ms, owner, std::make_shared<const std::function<void()>>(std::move(run))});
    due_.emplace(std::pair(at, id), id);
  }
  changed_.notify_one();
  return id;
}

bool Timers::runs(uint64_t id) const {
  const auto self = std::this_thread::get_id();
  if (running_ == id) return self != thread_.get_id();
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [&](const auto& each) { return each.second.running == id && each.second.thread != self; });
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
  finished_.wait(lock, [&] { return !runs(id); });
  return found;
}

void Timers::settle() {
  std::unique_lock lock(mutex_);
  changed_.notify_one();
  finished_.wait(lock, [this] {
    return running_ == 0 && lanes_.empty() && (due_.empty() || due_.begin()->first.first > now_ns());
  });
}

void Timers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [this] { return lanes_.empty(); });  // the executor still looks at this
}

Timers::Callback Timers::take(uint64_t id) {
  const auto it = timers_.find(id);
  if (it == timers_.end() || stopping_) return nullptr;
  Callback run = it->second.run;
  if (it->second.period_ms == 0) timers_.erase(it);
  return run;
}

void Timers::rearm(uint64_t id) {
  const auto it = timers_.find(id);
  if (it == timers_.end()) return;
  const uint64_t period = it->second.period_ms * 1'000'000, now = now_ns();
  it->second.at_ns = now < it->second.at_ns + period ? it->second.at_ns + period : now + period;
  due_.emplace(std::pair(it->second.at_ns, id), id);
  changed_.notify_one();
}

void Timers::dispatch(const void* owner, Lane& lane) {
  if (lane.queued) return;
  // Past the bound: there are no more of them than owners.
  lane.queued = executor_.submit({[](const Task& task) { run_next(task); }, this, owner}, true);
  if (!lane.queued) lanes_.erase(owner);  // it has stopped
}

void Timers::run_next(const Task& task) { static_cast<Timers*>(task.a)->run_next(task.b); }

void Timers::run_next(const void* owner) {
  std::unique_lock lock(mutex_);
  Lane& lane = lanes_.at(owner);
  const uint64_t id = lane.waiting.front();
  lane.waiting.pop_front();
  if (Callback run = take(id)) {
    lane.running = id;
    lane.thread = std::this_thread::get_id();
    lock.unlock();
    (*run)();
    run.reset();
    lock.lock();
    lane.running = 0;
    rearm(id);
  }
  lane.queued = false;
  if (lane.waiting.empty())
    lanes_.erase(owner);
  else
    dispatch(owner, lane);
  finished_.notify_all();
}

void Timers::work() {
  become_host_thread();
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
    const void* owner = timers_.at(id).owner;
    if (owner != nullptr) {
      Lane& lane = lanes_[owner];
      lane.waiting.push_back(id);
      dispatch(owner, lane);
      continue;
    }
    const Callback run = take(id);
    running_ = id;
    lock.unlock();
    (*run)();
    lock.lock();
    running_ = 0;
    rearm(id);
    finished_.notify_all();
  }
}

}  // namespace bulkhead::runtime
