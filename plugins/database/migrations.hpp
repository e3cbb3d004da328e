// Schema migrations: numbered SQL of each owner, applied once, in order, by one host at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bulkhead/services/sql.h"
#include "session.hpp"
#include "url.hpp"

namespace database {

class Migrations {
 public:
  struct Step {
    uint32_t version;
    std::string name, sql;
  };
  struct Set {
    std::string owner;
    std::vector<Step> steps;
    void (*done)(void*, const bh_sql_result*) = nullptr;
    void* arg = nullptr;
    bool applied = false;
    std::string error;  // a defect of the SQL: not tried again
  };

  // "" or why the list is refused: versions are 1, 2, 3, ...
  std::string add(const bh_sql_migrations& migrations);
  bool pending() const;
  std::vector<Set>& sets() { return sets_; }
  const std::vector<Set>& sets() const { return sets_; }

  // Brings one set up to date. Safe when several hosts do it at once: a lock of the database
  // is held around each step. A step and its version are one transaction.
  static Outcome apply(Session& session, const Backend& backend, const Set& set);

 private:
  std::vector<Set> sets_;
};

}  // namespace database
