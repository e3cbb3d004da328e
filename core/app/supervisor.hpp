// Supervisor: the thread that signals come to, and that ends a process whose control thread does
// not come back.
#pragma once

#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

namespace bulkhead::app {

// SIGTERM and SIGINT end any command: one that does not serve yet after two seconds, one that stops
// already at the second of them. What is overdue of runtime::control_duty ends it with status 1.
// Each is told with the plugin and the place.
class Supervisor {
 public:
  // Blocks the signals; before the first thread.
  Supervisor();
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // [control thread] The next signal, or 0 after so long without one. From the first call on the
  // host serves, and stops in its own time.
  int wait(uint32_t ms);

 private:
  void work();
  void signalled(int number);
  // By the signal, as if nobody had caught it.
  [[noreturn]] void end_by(int number, const std::string& what);

  sigset_t signals_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<int> waiting_;
  bool serving_ = false, over_ = false;  // over: the process ends by itself
  int asked_ = 0;                        // SIGTERM or SIGINT, and when
  uint64_t asked_ns_ = 0;
  std::thread thread_;
};

}  // namespace bulkhead::app
