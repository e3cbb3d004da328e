// Store: the statements of the resource. The same SQL on PostgreSQL and SQLite but
// for the few places that ask for the dialect.
#pragma once

#include <functional>
#include <map>
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
  using RecordDone = std::function<void(const bulkhead::SqlResult&, Record)>;
  struct Page {
    std::string json;
    std::string cursor;  // of the next page, "" where this one is not full
  };
  using Counts = std::map<std::pair<int64_t, bool>, int64_t>;  // by class and survival
  using CountDone = std::function<void(const bulkhead::SqlResult&, const Counts&)>;
  using ListDone = std::function<void(const bulkhead::SqlResult&, Page)>;

  explicit Store(const bulkhead::Host& host) : sql_(host) {}

  void migrate(Done done) const;
  void settle() const { sql_.settle(); }
  // Inserts them if the table has no row at all, in one transaction. `people` must outlive `done`.
  void seed(const std::vector<Person>& people, Done done) const;
  // Inserts those whose uuid is new, all or nothing; waits. How many. Throws Failure.
  size_t import(const std::vector<Person>& people) const;

  // ---- asynchronous; they throw Failure where the database takes no work
  void find(std::string_view uuid, uint64_t deadline_ns, bh_exchange* ex, RecordDone done) const;
  void list(const ListQuery& query, uint64_t deadline_ns, bh_exchange* ex, ListDone done) const;
  void count(CountDone done) const;
  void insert(const Person& person, uint64_t deadline_ns, bh_exchange* ex, Done done) const;
  template <typename Run, typename TransactionDone>
  void transact(uint64_t deadline_ns, bh_exchange* ex, Run run, TransactionDone done) const {
    sql_.transact(deadline_ns, ex, std::move(run), std::move(done));
  }

  // ---- inside a transaction; they throw StatementFailed
  // The whole record, with the fields not usually shown, locked until the transaction ends.
  Record lock(bulkhead::SqlTransaction& transaction, std::string_view uuid) const;
  void replace(bulkhead::SqlTransaction& transaction, const Person& person) const;
  void remove(bulkhead::SqlTransaction& transaction, std::string_view uuid) const;
  // A record that was removed, locked; and the same brought back.
  Record lock_deleted(bulkhead::SqlTransaction& transaction, std::string_view uuid) const;
  Record restore(bulkhead::SqlTransaction& transaction, std::string_view uuid) const;

 private:
  Record lock(bulkhead::SqlTransaction& transaction, std::string_view uuid, std::string_view text) const;

  bulkhead::Sql sql_;
};

}  // namespace people
