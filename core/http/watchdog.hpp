// Watchdog: a thread that sees when an I/O thread is held up, tells by whom, and gives the
// connections that wait behind it to other threads.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/telemetry/probe.hpp"

namespace bulkhead::http {

class IoThread;
class Server;

// An I/O thread that does not look for events.
struct Blocked {
  size_t thread;
  uint64_t for_ms;
  bool over;                                    // it goes on; else it is still held up
  size_t handed_over;                           // connections that other threads have now
  std::optional<telemetry::Whereabouts> where;  // nothing where the thread did not answer
};

class Watchdog {
 public:
  static constexpr uint64_t kBlockedMs = 100;  // longer is held up

  // `threads` outlive this. `observe` is called from the watchdog's thread: when one is found held
  // up, and when it goes on.
  Watchdog(Server& server, const std::vector<std::unique_ptr<IoThread>>& threads,
           std::function<void(const Blocked&)> observe);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  struct Watched {
    IoThread* io;
    uint64_t since_ns = 0;  // of what was told last, 0: nothing
    Blocked told = {};
  };

  void work();
  void look_at(Watched& watched, uint64_t now);

  Server& server_;
  std::vector<Watched> watched_;
  const std::function<void(const Blocked&)> observe_;
  bool may_visit_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bulkhead::http
