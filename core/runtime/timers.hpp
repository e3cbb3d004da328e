// Timers: callbacks after a delay, once or periodically, on one thread of their own.
// Callbacks are short; what blocks is posted to the executor.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace bulkhead::runtime {

class Timers {
 public:
  Timers();
  ~Timers() { stop(); }
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // [any] Never 0. period_ms 0: once.
  uint64_t start(uint64_t delay_ms, uint64_t period_ms, std::function<void()> run);
  // [any] Returns when the callback no longer runs, at once inside it. False if there was none.
  bool cancel(uint64_t id);
  // The clock was moved: returns when what is due by now has run. Not from a callback.
  void settle();
  void stop();

 private:
  struct Timer {
    uint64_t at_ns, period_ms;
    std::function<void()> run;
  };
  void work();

  std::mutex mutex_;
  std::condition_variable changed_, finished_;
  std::map<uint64_t, Timer> timers_;
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> due_;  // (time, id) -> id
  uint64_t next_id_ = 1, running_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bulkhead::runtime
