// SecondLevel: answers that hosts share through Redis, and how hosts tell each other of changes
// through it. While Redis is down everything is answered "not known" at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "bulkhead/net/redis_worker.hpp"

namespace cache {

struct SecondLevelSettings {
  bulkhead::RedisUrl url;
  uint32_t timeout_ms = 50;  // of one get
  std::string prefix;        // of all keys and of the channel
  std::string version;       // of the program: another one may answer otherwise
};

// What it found: `clock` is 0 where Redis did not say, `data` empty where nothing holds.
struct Shared {
  uint64_t clock = 0;
  uint64_t ttl_ms = 0;
  std::string data;
};

class SecondLevel {
 public:
  struct Listener {  // called on its thread
    std::function<void(bool up)> state;
    std::function<void(std::string_view message)> told;
    std::function<std::string()> all_changed;  // the message that says so
  };

  SecondLevel(const bulkhead::Host& host, SecondLevelSettings settings, Listener listener);

  void start() { worker_.start(); }
  // Sends what has to be told for a moment yet. Every `done` has been called.
  void stop() { worker_.stop(); }

  // ---- [any] In order: what is asked after changed() returned is answered after it took effect.
  using Done = std::function<void(Shared)>;
  void get(const std::string& key, Done done);  // once, on its thread or at once on the caller's
  void set(const std::string& key, uint64_t began, const std::string& slots, uint64_t ttl_ms, std::string data);
  void changed(const std::string& slots, const std::string& message);
  // For a change that cannot be announced: every entry is stale once others are reached.
  void missed() { worker_.lose(); }

 private:
  std::string hello(redisContext* context, const std::string& script, bool missed);
  void tell(bool up, const std::string& why);

  const bulkhead::Host host_;
  const SecondLevelSettings settings_;
  const Listener listener_;
  const std::string clock_key_, channel_, answers_;
  bool up_ = false;  // its thread's
  bulkhead::redis::Worker worker_;
};

}  // namespace cache
