// Job: work for a session, from when it is handed over until its caller is told. Queries,
// transactions and batches of lookups are the three types.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "bulkhead/services/sql.h"
#include "session.hpp"

namespace database {

// What the metrics tell apart.
enum class JobKind : uint8_t { kSelect, kInsert, kUpdate, kDelete, kTransaction, kLookup };
inline constexpr size_t kJobKinds = 6;

// By the first word of a statement.
JobKind kind_of(std::string_view sql);

// Filled while it waits, run by the session that takes it. Not thread-safe.
class Job {
 public:
  virtual ~Job() = default;

  virtual JobKind kind() const = 0;
  // What the log shows of it.
  virtual std::string_view sql() const = 0;
  // The request it runs for; of several, the first.
  virtual bh_exchange* exchange() const = 0;
  virtual size_t size() const { return 1; }
  // It may change what a replica will only have later.
  virtual bool changes() const { return false; }
  // A query that reads for one caller alone: no other needs its rows.
  virtual bool reads_alone() const { return false; }
  // A single statement that changes something and may share a transaction with others, or null.
  virtual const bh_sql_query* write() const { return nullptr; }
  // Of a write: bytes of its values.
  virtual size_t bytes() const { return 0; }
  // Of a query or a transaction; a lookup's is the batch's own business.
  virtual bulkhead::Span* span() { return nullptr; }

  // Before it runs: drops the callers whose deadline has passed, or who have left. True where that
  // is all of them; the job is then refused with `why`.
  virtual bool expire(uint64_t now_ns, const std::function<bool(bh_exchange*)>& left, Outcome* why) = 0;
  // May be called again where the first time did certainly nothing. `of_primary`: not a replica's.
  virtual Outcome run(Session& session, bool of_primary) = 0;
  virtual bool untouched(const Outcome& outcome) const = 0;
  // Tells each caller; `done` may end its exchange. finish(): it ran, with this outcome. refuse():
  // it did not, or all of it ended alike.
  virtual void finish(const Outcome& outcome) = 0;
  virtual void refuse(const Outcome& outcome) = 0;

  uint64_t deadline_ns = 0, queued_ns = 0;
  uint32_t writer = 0;     // see Replicas
  bool handed_on = false;  // its session was cut, and could not be had again
};

}  // namespace database
