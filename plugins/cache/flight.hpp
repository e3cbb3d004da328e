// Flight: one fetch of an answer, and the tickets that wait for it.
//
// A cache miss leads a flight: its own request fetches the answer. Requests for the same key are
// coalesced: they wait. When the leader fails or leaves, the next one leads. The mutex of the shard
// guards the members.
#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <cstdint>
#include <deque>
#include <string>

#include "bulkhead/plugin.hpp"

namespace cache {

struct Route {
  std::string pattern, cache_control;
  uint64_t ttl_ns = 0;
  bool per_identity = true;
};

struct Ticket;
using TicketRef = boost::intrusive_ptr<Ticket>;

struct Flight : boost::intrusive_ref_counter<Flight, boost::thread_safe_counter> {
  std::string key;
  std::deque<TicketRef> waiting;
};
using FlightRef = boost::intrusive_ptr<Flight>;

// One request's part in a flight; lives until the request has ended.
struct Ticket : boost::intrusive_ref_counter<Ticket, boost::thread_safe_counter> {
  FlightRef flight;
  bulkhead::Exchange ex;      // held while it waits
  bulkhead::Span span;        // of its question to the second level
  std::string known;          // If-None-Match
  uint64_t began_ns = 0;      // of its own reading
  uint64_t shared_clock = 0;  // the second level's clock, read before that; 0: it was not asked
  bool passed_over = false;   // what one fetched was not for it
  // Under the mutex of the shard.
  bool leads = false, ended = false;
};

}  // namespace cache
