// Lookups of rows by their key that wait at the same time: one query for all of them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/services/sql.h"
#include "query_spans.hpp"
#include "session.hpp"

namespace database {

// Filled while it waits, run once by the session that takes it. Not thread-safe.
class LookupBatch {
 public:
  // "" or what is wrong with it.
  static std::string check(const bh_sql_lookup& lookup);

  // The statement is the first one's.
  LookupBatch(const bh_sql_lookup& first, Dialect dialect, bulkhead::Span span = {});
  // Whether this lookup asks for the same columns of the same rows, but for the key.
  bool takes(const bh_sql_lookup& lookup) const;
  void add(const bh_sql_lookup& lookup, bulkhead::Span span = {});
  size_t size() const { return members_.size(); }
  std::string_view sql() const { return sql_; }
  uint64_t deadline_ns() const { return deadline_ns_; }  // of the one that may wait longest
  bh_exchange* exchange() const { return members_.front().ex; }

  // Those whose deadline has passed, or whose caller has left, are answered, and leave.
  void expire(uint64_t now_ns, const std::function<bool(bh_exchange*)>& left);
  // Asks once for every distinct key and gives each member its rows. A query that fails because of
  // one key fails for all: then each is asked `alone`, or no row was delivered. The outcome of
  // the connection; members keep their own.
  Outcome run(Session& session, bool alone);
  // No row was delivered: it may run again.
  bool untouched() const;
  // Every member's done, with its own outcome; or with the one given, where nothing ran.
  void finish();
  void refuse(const Outcome& outcome);

 private:
  struct Member {
    std::string key;
    bh_status (*row)(void*, const bh_value*, size_t);
    void (*done)(void*, const bh_sql_result*);
    void* arg;
    bh_exchange* ex;
    uint64_t deadline_ns;
    bulkhead::Span span;
    Outcome outcome{};

    // Ends its span first: with `done` the request may be over.
    void finish();
  };

  Outcome ask(Session& session, size_t begin, size_t end);
  std::string keys(size_t begin, size_t end) const;
  bh_status deliver(const bh_value* cells, size_t n, size_t begin, size_t end);

  const Dialect dialect_;
  const std::string source_, key_column_, key_type_;
  const int32_t key_kind_;
  std::string sql_;
  std::vector<int32_t> columns_;
  std::vector<Member> members_;  // sorted by key once it runs
  uint64_t deadline_ns_ = 0;
};

}  // namespace database
