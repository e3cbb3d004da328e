// Responses: the answers in memory, and the flights under way.
//
// Shards by hash of the key, each with a mutex, a table and a list, the oldest last. Bounded in
// bytes, evenly over the shards: the oldest goes, but one that was used meanwhile is given a second
// round (CLOCK), so that a hit moves nothing. [any]
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "entry.hpp"
#include "flight.hpp"
#include "tag_clock.hpp"

namespace cache {

class Responses {
 public:
  Responses(const TagClock& clock, size_t bytes) : clock_(clock), shard_bytes_(bytes / kShards) {}

  // The entry of the key that is fresh at `now_ns`; or nullptr. One without a body only where
  // `known` has its tag.
  EntryRef find(std::string_view key, std::string_view known, uint64_t now_ns);
  // The same; where there is nothing the ticket joins the flight for the key, or leads a new one.
  struct Found {
    EntryRef entry;
    bool leads = false;
  };
  Found find_or_join(std::string_view key, uint64_t now_ns, const TicketRef& ticket);

  // Keeps the entry unless it is too large.
  void put(const EntryRef& entry);
  // The tickets that wait for the leader's fetch; it leads no longer. Nothing where it did not
  // lead.
  std::optional<std::deque<TicketRef>> take(Ticket& leader);
  // Gives those back, and the next one leads: it, or nullptr, and the flight is over.
  TicketRef hand_on(Flight& flight, std::deque<TicketRef> waiting, uint64_t now_ns);
  // The ticket's request has ended. True where it led.
  bool end(Ticket& ticket);
  bool leads(const Ticket& ticket);

  struct Figures {
    size_t entries = 0, bytes = 0;
    uint64_t evictions = 0;
  };
  Figures figures() const;

 private:
  static constexpr size_t kShards = 16;
  using List = std::list<const Entry*>;
  struct Kept {
    EntryRef entry;
    List::iterator place;
  };
  using Table = std::unordered_map<std::string_view, Kept>;  // keys are the entries' own
  struct Shard {
    mutable std::mutex mutex;
    Table entries;
    List order;
    std::unordered_map<std::string_view, FlightRef> flights;  // keys are the flights' own
    size_t bytes = 0;
    uint64_t evictions = 0;
  };

  Shard& shard_of(std::string_view key) { return shards_[std::hash<std::string_view>()(key) >> 7 & (kShards - 1)]; }
  EntryRef find_locked(Shard& shard, std::string_view key, std::string_view known, uint64_t now_ns);
  static void erase(Shard& shard, Table::iterator kept);

  const TagClock& clock_;
  const size_t shard_bytes_;
  std::array<Shard, kShards> shards_;
};

}  // namespace cache
