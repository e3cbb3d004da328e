#include "responses.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "bulkhead/text/fields.hpp"

namespace cache {

EntryRef Responses::find_locked(Shard& shard, std::string_view key, std::string_view known, uint64_t now_ns) {
  const auto it = shard.entries.find(key);
  if (it == shard.entries.end()) return nullptr;
  const EntryRef& entry = it->second.entry;
  if (now_ns >= entry->expires_ns() || !clock_.holds(entry->slots(), entry->began_ns())) {
    erase(shard, it);
    return nullptr;
  }
  if (entry->validator_only() && (known.empty() || !bulkhead::etag_matches(known, entry->etag(), true))) return nullptr;
  entry->used = true;
  return entry;
}

EntryRef Responses::find(std::string_view key, std::string_view known, uint64_t now_ns) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  return find_locked(shard, key, known, now_ns);
}

Responses::Found Responses::find_or_join(std::string_view key, uint64_t now_ns, const TicketRef& ticket) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  if (EntryRef entry = find_locked(shard, key, ticket->known, now_ns)) return {entry, false};  // it came in between
  if (const auto it = shard.flights.find(key); it != shard.flights.end()) {
    ticket->flight = it->second;
    it->second->waiting.push_back(ticket);
    return {};
  }
  const FlightRef flight(new Flight);
  flight->key = key;
  shard.flights.emplace(flight->key, flight);
  ticket->flight = flight;
  ticket->began_ns = now_ns;
  ticket->leads = true;
  return {nullptr, true};
}

void Responses::erase(Shard& shard, Table::iterator kept) {
  shard.bytes -= kept->second.entry->bytes();
  shard.order.erase(kept->second.place);
  const EntryRef last = std::move(kept->second.entry);  // the key is a part of it
  shard.entries.erase(kept);
}

void Responses::put(const EntryRef& entry) {
  Shard& shard = shard_of(entry->key());
  if (entry->bytes() > shard_bytes_) return;
  const std::lock_guard lock(shard.mutex);
  if (const auto it = shard.entries.find(entry->key()); it != shard.entries.end()) erase(shard, it);
  List place = {entry.get()};
  shard.entries.emplace(entry->key(), Kept{entry, place.begin()});
  shard.order.splice(shard.order.begin(), place);
  shard.bytes += entry->bytes();
  while (shard.bytes > shard_bytes_) {
    const auto oldest = std::prev(shard.order.end());
    if (std::exchange((*oldest)->used, false)) {
      shard.order.splice(shard.order.begin(), shard.order, oldest);
      continue;
    }
    erase(shard, shard.entries.find((*oldest)->key()));
    ++shard.evictions;
  }
}

std::optional<std::deque<TicketRef>> Responses::take(Ticket& leader) {
  const std::lock_guard lock(shard_of(leader.flight->key).mutex);
  if (!std::exchange(leader.leads, false)) return std::nullopt;
  return std::exchange(leader.flight->waiting, {});
}

TicketRef Responses::hand_on(Flight& flight, std::deque<TicketRef> waiting, uint64_t now_ns) {
  Shard& shard = shard_of(flight.key);
  std::vector<bulkhead::Exchange> left;  // released behind the lock
  const std::lock_guard lock(shard.mutex);
  flight.waiting.insert(flight.waiting.begin(), waiting.begin(), waiting.end());
  while (!flight.waiting.empty()) {
    TicketRef next = std::move(flight.waiting.front());
    flight.waiting.pop_front();
    if (next->ended) {
      left.push_back(std::move(next->ex));
      continue;
    }
    next->leads = true;
    next->began_ns = now_ns;
    return next;
  }
  shard.flights.erase(flight.key);
  return nullptr;
}

bool Responses::end(Ticket& ticket) {
  bulkhead::Exchange left;
  TicketRef kept(&ticket);
  const std::lock_guard lock(shard_of(ticket.flight->key).mutex);
  ticket.ended = true;
  // While it waits the ticket holds its exchange, which keeps the ticket.
  auto& waiting = ticket.flight->waiting;
  if (const auto place = std::find(waiting.begin(), waiting.end(), kept); place != waiting.end()) {
    left = std::move(ticket.ex);
    waiting.erase(place);
  }
  return ticket.leads;
}

bool Responses::leads(const Ticket& ticket) {
  const std::lock_guard lock(shard_of(ticket.flight->key).mutex);
  return ticket.leads;
}

Responses::Figures Responses::figures() const {
  Figures sum;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum.entries += shard.entries.size();
    sum.bytes += shard.bytes;
    sum.evictions += shard.evictions;
  }
  return sum;
}

}  // namespace cache
