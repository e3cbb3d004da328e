// Timers: callbacks after a delay, once or periodically.
//
// Those of a plugin run on the executor, so that one that takes its time delays no other plugin's;
// those of one owner run one after another. The host's own run on the timers' thread, and are
// short.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "core/runtime/executor.hpp"

namespace bulkhead::runtime {

class Timers {
 public:
  // `executor` outlives this.
  explicit Timers(Executor& executor);
  ~Timers() { stop(); }
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // [any] Never 0. period_ms 0: once. A period that passes while the callback runs or waits for its
  // turn is skipped. `owner` null: the host itself.
  uint64_t start(uint64_t delay_ms, uint64_t period_ms, std::function<void()> run, const void* owner = nullptr);
  // [any] Returns when the callback no longer runs, at once inside it. False if there was none.
  bool cancel(uint64_t id);
  // The clock was moved: returns when what is due by now has run. Not from a callback.
  void settle();
  void stop();

 private:
  using Callback = std::shared_ptr<const std::function<void()>>;
  struct Timer {
    uint64_t at_ns, period_ms;
    const void* owner;
    Callback run;
  };
  // What is due of one owner.
  struct Lane {
    std::deque<uint64_t> waiting;
    uint64_t running = 0;
    std::thread::id thread;  // that runs it
    bool queued = false;     // a task of the executor is there for it
  };

  void work();
  static void run_next(const Task& task);
  void run_next(const void* owner);
  // The timer's callback, which runs from now on; nothing where it was cancelled.
  Callback take(uint64_t id);
  void rearm(uint64_t id);
  void dispatch(const void* owner, Lane& lane);
  // Elsewhere than on this thread.
  bool runs(uint64_t id) const;

  Executor& executor_;
  std::mutex mutex_;
  std::condition_variable changed_, finished_;
  std::map<uint64_t, Timer> timers_;
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> due_;  // (time, id) -> id
  std::map<const void*, Lane> lanes_;                      // of those that have something due
  uint64_t next_id_ = 1, running_ = 0;                     // the second: on the timers' thread
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bulkhead::runtime
