// Replicas: which of them may answer a read.
//
// A replica is fresh as of the last moment at which the primary's write position, sampled then, was
// seen replayed on it. That needs no clock but this host's, and a replica that has lost its
// primary, or hangs, ages by itself.
//
// Read-your-writes: for as long as a replica may lag, a caller that wrote through this host reads
// from the primary.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "session.hpp"

namespace database {

class Replicas {
 public:
  // `primary` and `replicas` outlive this. Metrics are registered here. `gone` is called on a
  // thread of this, again and again, while a replica does not answer.
  Replicas(const bulkhead::Host& host, const SessionSettings& primary, const std::vector<SessionSettings>& replicas,
           uint32_t lag_ms, std::function<void(size_t replica)> gone);
  ~Replicas() { stop(); }
  Replicas(const Replicas&) = delete;
  Replicas& operator=(const Replicas&) = delete;

  void start();
  void stop();

  // ---- [any]
  bool fresh(size_t replica, uint64_t now_ns) const {
    const uint64_t at = nodes_[replica].fresh_ns.load(std::memory_order_acquire);
    return at != 0 && now_ns <= at + lag_ns_;
  }
  // The slot of an identified caller; all others share one.
  static uint32_t writer(std::string_view identity) {
    return static_cast<uint32_t>(std::hash<std::string_view>()(identity) % kWriters);
  }
  void wrote(uint32_t writer, uint64_t now_ns) { wrote_[writer].store(now_ns, std::memory_order_release); }
  bool reads_primary(uint32_t writer, uint64_t now_ns) const {
    const uint64_t at = wrote_[writer].load(std::memory_order_acquire);
    return at != 0 && now_ns <= at + lag_ns_;
  }

 private:
  static constexpr size_t kWriters = 4096;
  struct Node {
    std::string name;
    std::atomic<uint64_t> fresh_ns{0};  // 0: not known
    uint32_t lag_series = 0, usable_series = 0;
    std::thread thread;
    bool usable = false;  // as last told
  };
  struct Sample {
    uint64_t at_ns, position;
  };

  void watch_primary();
  void watch(size_t replica);
  void tell(size_t replica, const std::string& why);
  bool pause();  // false when stopping

  const bulkhead::Host host_;
  const SessionSettings& primary_;
  const std::vector<SessionSettings>& settings_;
  const uint64_t lag_ns_;
  const uint32_t interval_ms_;
  const std::function<void(size_t)> gone_;
  std::vector<Node> nodes_;
  std::thread primary_thread_;
  std::array<std::atomic<uint64_t>, kWriters> wrote_{};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Sample> samples_;  // of the primary, the oldest first
  bool stopping_ = false;
};

}  // namespace database
