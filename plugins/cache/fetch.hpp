// Fetch: looks an answer up, coalesces concurrent requests for it into one fetch, stores it, and
// invalidates it.
//
//   memory -> (second level) -> the route's own step
//
// While hosts cannot hear each other (the bus is down) nothing kept is used and nothing is kept.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "flight.hpp"
#include "message.hpp"
#include "notify_bus.hpp"
#include "responses.hpp"
#include "second_level.hpp"
#include "tag_clock.hpp"

namespace cache {

struct Settings {
  size_t memory_bytes = 0;
  std::string service;
  bool redis = false;
  bulkhead::RedisUrl redis_url;
  uint32_t redis_timeout_ms = 50;
};

class Fetch {
 public:
  Fetch(const bulkhead::Host& host, Settings settings);

  void start();
  void quiesce();  // others are told what they have to know yet
  void stop();

  // PREPARE of a GET or HEAD.
  bh_flow prepare(const bulkhead::Request& request, const Route& route);
  // RESPOND of a GET or HEAD.
  void respond(const bulkhead::Request& request, const Route& route);
  // RESPOND of an unsafe request.
  void written(const bulkhead::Request& request);
  // [any] See bh_cache.
  void changed(const bh_str* tags, size_t count);
  void all_changed();

 private:
  bh_flow ask_second_level(const TicketRef& ticket);
  void decorate(const bulkhead::Request& request, const Draft& draft, std::string_view status) const;
  void serve_waiting(Ticket& leader, const EntryRef& entry);
  void without_answer(Ticket& leader, bool failed);
  void lead_next(Flight& flight, std::deque<TicketRef> waiting);
  void ended(Ticket& ticket);
  void bus_state(bool up);
  void heard(std::string_view text);
  std::string message(std::span<const uint32_t> slots, bool all) const;
  void tell_figures();

  enum Result : uint8_t { kHit, kShared, kMiss, kJoined, kBypass, kResults };
  void count(Result result) const { host_.record(results_[result], 1); }

  const bulkhead::Host host_;
  const Settings settings_;
  const std::string id_;  // of this host among those on the bus
  TagClock clock_;
  Responses responses_;
  std::atomic<bool> coherent_{false};
  std::unique_ptr<SecondLevel> second_level_;
  std::unique_ptr<NotifyBus> bus_;
  uint64_t settle_ns_ = 0, evictions_told_ = 0;
  uint32_t results_[kResults] = {}, invalidations_[2] = {};  // here, elsewhere
  bulkhead::Timer figures_;
  uint32_t entries_ = 0, bytes_ = 0, evictions_ = 0, lag_ = 0, up_ = 0;
};

}  // namespace cache
