// Store: the statements of the resource. The same SQL on PostgreSQL and SQLite but
// for the few places that ask for the dialect.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.hpp"
#include "query.hpp"
#include "record.hpp"

namespace people {

// A record as read: its JSON and its version.
struct Record {
  bool found = false;
  int64_t version = 0;
  std::string json;
};

// A statement of a transaction failed; the transaction's result says why.
struct StatementFailed {};

class Store {
 public:
  using Done = std::function<void(const bulkhead::SqlResult&)>;
  struct Page {
    std::string json;
    std::string cursor;  // of the next page, "" where this one is not full
  };
  using Counts = std::map<std::pair<int64_t, bool>, int64_t>;  // by class and survival
  using CountDone = std::function<void(const bulkhead::SqlResult&, const Counts&)>;

  explicit Store(const bulkhead::Host& host) : sql_(host) {}

  void migrate(Done done) const;
  void settle() const { sql_.settle(); }
  // Inserts them if the table has no row at all, in one transaction. `people` must outlive `done`.
  void seed(const std::vector<Person>& people, Done done) const;
  // Inserts those whose uuid is new, all or nothing; waits. How many. Throws Failure.
  size_t import(const std::vector<Person>& people) const;

  // ---- awaited on behalf of a request; they throw Failure where the database takes no work
  // Fills `record` where there is one. Awaited by a frame that keeps `uuid` and `record`.
  auto find(std::string_view uuid, const bulkhead::Request& request, Record* record) const {
    return sql_.lookup(lookup_of(uuid, request), ReadRecord{record});
  }
  // Throws Failure too where the query fails.
  bulkhead::Task<Page> list(const ListQuery& query, bulkhead::Request request) const;
  bulkhead::Task<bulkhead::SqlResult> insert(const Person& person, bulkhead::Request request) const;
  template <typename Run>
  auto transact(const bulkhead::Request& request, Run run) const {
    return sql_.transact(request.deadline_ns(), request.handle(), std::move(run));
  }

  // Calls `done` later; throws Failure where the database takes no work.
  void count(CountDone done) const;

  // ---- inside a transaction; they throw StatementFailed
  // The whole record, with the fields not usually shown, locked until the transaction ends.
  Record lock(bulkhead::SqlTransaction& transaction, std::string_view uuid) const;
  void replace(bulkhead::SqlTransaction& transaction, const Person& person) const;
  void remove(bulkhead::SqlTransaction& transaction, std::string_view uuid) const;
  // A record that was removed, locked; and the same brought back.
  Record lock_deleted(bulkhead::SqlTransaction& transaction, std::string_view uuid) const;
  Record restore(bulkhead::SqlTransaction& transaction, std::string_view uuid) const;

 private:
  struct ReadRecord {
    Record* record;
    void operator()(std::span<const bh_value> cells) const;
  };

  static bulkhead::SqlLookup lookup_of(std::string_view uuid, const bulkhead::Request& request);
  Record lock(bulkhead::SqlTransaction& transaction, std::string_view uuid, std::string_view text) const;

  bulkhead::Sql sql_;
};

}  // namespace people
