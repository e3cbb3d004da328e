// LookupBatch: lookups of rows by their key that wait at the same time; one query for all of them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/services/sql.h"
#include "job.hpp"
#include "query_spans.hpp"

namespace database {

class LookupBatch final : public Job {
 public:
  // "" or what is wrong with it.
  static std::string check(const bh_sql_lookup& lookup);

  // The statement is the first one's.
  LookupBatch(const bh_sql_lookup& first, const Backend& backend, bulkhead::Span span = {});
  // Whether this lookup asks for the same columns of the same rows, but for the key.
  bool takes(const bh_sql_lookup& lookup) const;
  void add(const bh_sql_lookup& lookup, bulkhead::Span span = {});

  JobKind kind() const override { return JobKind::kLookup; }
  std::string_view sql() const override { return sql_; }
  bh_exchange* exchange() const override { return members_.front().ex; }
  size_t size() const override { return members_.size(); }

  bool expire(uint64_t now_ns, const std::function<bool(bh_exchange*)>& left, Outcome* why) override;
  // Asks once for every distinct key and gives each member its rows. A query that fails because of
  // one key fails for all: then each is asked alone by the primary, unless its row was delivered.
  // The outcome of the connection; members keep their own.
  Outcome run(Session& session, bool of_primary) override;
  bool untouched(const Outcome& outcome) const override;
  void finish(const Outcome& outcome) override;
  void refuse(const Outcome& outcome) override;

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
    void tell();
  };

  Outcome ask(Session& session, size_t begin, size_t end);
  bh_status deliver(const bh_value* cells, size_t n, size_t begin, size_t end);

  const Backend& backend_;
  const std::string source_, key_column_, key_type_;
  const int32_t key_kind_;
  std::string sql_;
  std::vector<int32_t> columns_;
  std::vector<Member> members_;  // sorted by key once it runs
};

}  // namespace database
