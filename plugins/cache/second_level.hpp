// SecondLevel: answers that hosts share through Redis, and how hosts tell each other of changes
// through it.
//
// One thread owns both connections, for commands and for messages; it sends what has come together
// in one write. While a connection is missing, slow or talks nonsense it is down: nothing is asked,
// everything is answered "not known" at once, and connecting is tried again with growing pauses.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bulkhead/net/redis.hpp"
#include "bulkhead/plugin.hpp"

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
  ~SecondLevel() { stop(); }
  SecondLevel(const SecondLevel&) = delete;
  SecondLevel& operator=(const SecondLevel&) = delete;

  void start();
  // Sends what has to be told for a moment yet, then joins. Every `done` has been called.
  void stop();

  // ---- [any] In order: what is asked after changed() returned is answered after it took effect.
  using Done = std::function<void(Shared)>;
  void get(const std::string& key, Done done);  // once, on its thread or at once on the caller's
  void set(const std::string& key, uint64_t began, const std::string& slots, uint64_t ttl_ms, std::string data);
  void changed(const std::string& slots, const std::string& message);
  // For a change that cannot be announced: every entry is stale once others are reached.
  void missed();

 private:
  enum class Kind : uint8_t { kGet, kSet, kChanged, kBeat };
  struct Command {
    Kind kind = Kind::kBeat;
    std::vector<std::string> words = {};
    Done done = {};  // empty once it was called
    uint64_t sent_ns = 0;
  };
  void push(Command command);
  void run();
  std::string connect(const std::stop_token& stop);  // "" or why not
  std::string hello(redisContext* commands);
  void serve();
  bool beat();
  bool send(std::vector<Command> commands);
  bool write(redisContext* context);
  bool receive();       // replies; false: the connection is of no use
  bool receive_told();  // messages
  bool late();
  int patience_ms() const;
  void fail(const std::string& why);
  void wait(uint32_t ms);

  const bulkhead::Host host_;
  const SecondLevelSettings settings_;
  const Listener listener_;
  const std::string clock_key_, channel_, answers_, script_;  // script_: its SHA-1
  int wake_ = -1;                                             // eventfd
  std::thread thread_;

  std::mutex mutex_;
  std::vector<Command> queue_;
  size_t queued_bytes_ = 0;           // of answers to be stored
  bool up_ = false, missed_ = false;  // missed_: a change was not announced
  std::stop_source stopping_;         // requested under mutex_

  // Its thread's.
  bulkhead::redis::Context commands_, messages_;
  std::deque<Command> sent_;
  uint64_t pinged_ns_ = 0, heard_ns_ = 0;  // heard_ns_: on the connection for messages
  std::string why_, reported_ = "-";
};

}  // namespace cache
