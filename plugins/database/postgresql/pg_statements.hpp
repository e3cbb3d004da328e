// Statements on PostgreSQL, straight through libpq: prepared once a connection, parameters and
// results in the text format, rows read where the driver has them.
//
// A plan is made for the tables as they are when it is made, and the server keeps it until they are
// analyzed. So a statement is prepared again when much has been written since, or some time has
// passed.
//
// Behind a pooler in transaction mode no statement is prepared, for it would be on another server
// connection the next time; and each one outside a transaction brings its timeout along, in one
// transaction and one round trip.
#pragma once

#include <libpq-fe.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bulkhead/services/sql.h"

namespace database {

struct Outcome;

// ":name" becomes "$1", "$2", ... by order of appearance; text in '' and "" and "::" stay.
std::string positional(std::string_view sql);

// Rows written by all sessions of a pool, as the server counted them. [any]
using RowsWritten = std::atomic<uint64_t>;

// Of one connection, used by its thread. Calls throw soci::postgresql_soci_error.
class PgStatements {
 public:
  // `pooled_timeout_ms`: 0, or the statement timeout behind a pooler.
  PgStatements(uint32_t pooled_timeout_ms, std::shared_ptr<RowsWritten> written);

  // From now on nothing is prepared.
  void behind_pooler(uint32_t timeout_ms);
  bool pooled() const { return pooled_timeout_ms_ != 0; }

  // Rows go to query.row; fills rows, affected and what row() asked for.
  void execute(PGconn* connection, const bh_sql_query& query, Outcome* outcome);
  // The server refused a statement, or the commit, where `index` is the number of queries.
  struct Refusal {
    size_t index;
    std::string sqlstate, message;
  };
  // All of them in one transaction and one round trip. Nothing returned: they are committed, and
  // rows have been given. A refusal: nothing has happened. Where neither is certain it throws, and
  // the connection is lost.
  std::optional<Refusal> execute_together(PGconn* connection, std::span<const bh_sql_query* const> queries,
                                          std::span<Outcome> outcomes);
  // The statement failed, or its plan is stale: it is prepared anew the next time.
  void forget(std::string_view sql);
  // The tables are not what the plans were made for.
  void forget_all();
  // The connection is gone.
  void clear();

 private:
  static constexpr size_t kMaxStatements = 200;
  struct Entry {
    std::string name;  // or the text itself, where nothing is prepared
    std::list<std::string>::iterator place;
    uint64_t rows_written = 0;  // by then
    std::chrono::steady_clock::time_point prepared{};
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  bool stale(const Entry& entry) const;
  const std::string& prepare(PGconn* connection, std::string_view sql);
  bool send(PGconn* connection, const std::string& name, const bh_sql_query& query);
  void bind(const bh_sql_query& query);
  void give_rows(const PGresult* result, const bh_sql_query& query, Outcome* outcome);
  void drop_forgotten(PGconn* connection);

  uint32_t pooled_timeout_ms_;
  const std::shared_ptr<RowsWritten> written_;
  // Names are no other session's: where a pooler hands a statement to another server connection it
  // must not meet a namesake there.
  const std::string prefix_;
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> cached_;
  std::list<std::string> recent_;
  std::vector<std::string> forgotten_;  // names; a failed transaction takes no DEALLOCATE, so they wait
  uint64_t count_ = 0;
  std::string buffer_;
  std::vector<size_t> offsets_;
  std::vector<const char*> values_;
  std::vector<bh_value> cells_;
};

}  // namespace database
