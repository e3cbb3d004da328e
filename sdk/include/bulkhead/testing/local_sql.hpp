// bulkhead/testing/local_sql.hpp - "bh.sql" for tests, on SQLite in memory.
//
//   bulkhead::testing::LocalSql sql;
//   bulkhead::testing::LocalHost host(bh_plugin_v1());
//   host.offer(BH_SQL_ID, BH_SQL_VERSION, sql.api(), sql.self());
//
// Every call of the service, one after another on a thread of its own. Not the database plugin: no
// pool, no deadlines, no spans. What depends on those is tested with database.so beside the plugin.
#ifndef BULKHEAD_TESTING_LOCAL_SQL_HPP
#define BULKHEAD_TESTING_LOCAL_SQL_HPP

#include <memory>
#include <string>

#include "bulkhead/services/sql.h"

namespace bulkhead::testing {

class LocalSql {
 public:
  LocalSql();
  // Ends what was taken first.
  ~LocalSql();
  LocalSql(const LocalSql&) = delete;
  LocalSql& operator=(const LocalSql&) = delete;

  const bh_sql* api() const;
  void* self() const;

  // From now on nothing is taken (BH_E_UNAVAILABLE), or everything again.
  void set_down(bool down);
  // Runs statements on the database, past the plugin. Throws std::runtime_error with SQLite's
  // words.
  void run(const std::string& sql);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::testing

#endif  // BULKHEAD_TESTING_LOCAL_SQL_HPP
