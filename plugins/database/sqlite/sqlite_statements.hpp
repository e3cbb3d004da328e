// Statements on SQLite, through SOCI: prepared once a session.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bulkhead/services/sql.h"

namespace soci {
class session;
}

namespace database {

struct Outcome;

// Of one session, used by its thread. Calls throw soci::soci_error.
class SqliteStatements {
 public:
  SqliteStatements();
  ~SqliteStatements();
  SqliteStatements(const SqliteStatements&) = delete;
  SqliteStatements& operator=(const SqliteStatements&) = delete;

  // Rows go to query.row; fills rows, affected and what row() asked for.
  void execute(soci::session& session, const bh_sql_query& query, Outcome* outcome);
  // The one that was executed last failed half-way: it is not used again.
  void forget_last();
  // Before the session goes.
  void clear();

 private:
  struct Prepared;
  struct Entry {
    std::unique_ptr<Prepared> prepared;
    std::list<std::string>::iterator place;
  };
  static constexpr size_t kMaxStatements = 200;

  Prepared& prepare(soci::session& session, const bh_sql_query& query);

  std::unordered_map<std::string, Entry> cached_;
  std::list<std::string> recent_;
  std::string key_;
  std::vector<bh_value> cells_;
};

}  // namespace database
