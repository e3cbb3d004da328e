// Limits that hosts share through Redis: one call of a script a request, without a thread that
// waits for it.
//
// One thread sends what has come together in one write and reads the answers. While Redis is away
// or slow, Redis is not asked: the answer is "unknown" at once, and connecting is tried again with
// growing pauses.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "bulkhead/net/redis.hpp"
#include "bulkhead/plugin.hpp"
#include "gcra.hpp"

namespace ratelimit {

struct SharedSettings {
  bulkhead::RedisUrl url;
  uint32_t timeout_ms = 100;
};

class Shared {
 public:
  static constexpr int64_t kUnitsPerSecond = 1'000'000;  // of its decisions
  // A decision for each limit; none where Redis did not say. On Redis' thread, or inside take().
  using Done = std::function<void(const std::vector<Decision>&)>;
  struct Item {
    std::string key;
    double interval = 0;  // microseconds
    int64_t burst = 1;
  };

  Shared(const bulkhead::Host& host, SharedSettings settings);
  ~Shared() { stop(); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  void start();
  void stop();
  // [any]
  void take(const std::vector<Item>& items, Done done);

 private:
  struct Call {
    std::vector<std::string> words;
    Done done;
    uint64_t deadline_ns = 0;
  };
  void run();
  std::string connect();
  // False where the connection is of no use any more.
  bool exchange(std::deque<Call>* calls, std::string* why);
  void tell(bool up, const std::string& why);
  bool pause(uint32_t ms);

  const bulkhead::Host host_;
  const SharedSettings settings_;
  std::string script_;  // its SHA-1
  bulkhead::redis::Context context_;
  std::mutex mutex_;  // what follows
  std::condition_variable changed_;
  std::deque<Call> queue_;
  bool up_ = false;
  std::stop_source stopping_;  // requested under mutex_
  std::thread thread_;
};

}  // namespace ratelimit
