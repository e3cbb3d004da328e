// Limits that hosts share through Redis: one call of a script a request, without a thread that
// waits for it. While Redis is down the answer is "unknown" at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bulkhead/net/redis_worker.hpp"
#include "gcra.hpp"

namespace ratelimit {

struct SharedSettings {
  bulkhead::RedisUrl url = {};
  std::string prefix;  // of all keys
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

  void start() { worker_.start(); }
  void stop() { worker_.stop(); }
  // [any]
  void take(const std::vector<Item>& items, Done done);

 private:
  void tell(bool up, const std::string& why);

  const bulkhead::Host host_;
  const SharedSettings settings_;
  bulkhead::redis::Worker worker_;
};

}  // namespace ratelimit
