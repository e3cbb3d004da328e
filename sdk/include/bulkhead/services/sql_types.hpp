// bulkhead/services/sql_types.hpp - queries, results and transactions of bh.sql in C++. Included by
// sql.hpp.
#ifndef BULKHEAD_SERVICES_SQL_TYPES_HPP
#define BULKHEAD_SERVICES_SQL_TYPES_HPP

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.h"

namespace bulkhead {

inline bh_value sql_null() { return {BH_NULL, 0, {0}}; }
inline bh_value sql_int(int64_t i) { return {BH_INT, 0, {i}}; }
inline bh_value sql_bool(bool b) { return {BH_BOOL, 0, {b ? 1 : 0}}; }
inline bh_value sql_real(double r) {
  bh_value v{BH_REAL, 0, {0}};
  v.as.r = r;
  return v;
}
inline bh_value sql_text(std::string_view s) {
  bh_value v{BH_TEXT, 0, {0}};
  v.as.s = to_str(s);
  return v;
}

// Owned copy of a bh_sql_result.
struct SqlResult {
  bh_status status = BH_OK;
  int64_t affected = 0;
  uint64_t rows = 0;
  std::string sqlstate, message;

  static SqlResult of(const bh_sql_result& r) {
    return {r.status, r.affected, r.rows, std::string(to_view(r.sqlstate)), std::string(to_view(r.message))};
  }
  bool ok() const { return status == BH_OK; }
};

// What a query that failed tells the caller; the reason is in the database plugin's log.
inline Failure failure_of(const SqlResult& result) {
  switch (result.status) {
    case BH_E_UNAVAILABLE:
      return {result.status, "The database is not available. Try again in a moment."};
    case BH_E_TIMEOUT:
      return {result.status, "The database took too long."};
    case BH_E_CONFLICT:
      return {result.status, "The change collides with another one, or breaks a rule of the database."};
    case BH_E_INVALID:
      return {result.status, "The database does not take one of the values."};
    case BH_E_FULL:
      return {result.status, "The database has no room left. Nothing was written."};
    default:
      return {BH_E_INTERNAL, "query failed: " + result.message};
  }
}
inline void fail(const Exchange& ex, const SqlResult& result) {
  const Failure failure = failure_of(result);
  ex.fail(failure.code, failure.message);
}
// The same, with the database's own words: for logs and commands.
class SqlFailure : public Failure {
 public:
  explicit SqlFailure(SqlResult failed) : Failure(failure_of(failed)), result(std::move(failed)) {}

  SqlResult result;
};
// Throws SqlFailure where the query failed.
inline void require(const SqlResult& result) {
  if (!result.ok()) throw SqlFailure(result);
}

// A plugin's migrations in each dialect, as bulkhead_add_plugin() makes them from the folder
// migrations/.
struct SqlMigrations {
  std::span<const bh_sql_migration> postgresql, sqlite;

  std::span<const bh_sql_migration> of(int32_t dialect) const {
    return dialect == BH_SQL_POSTGRESQL ? postgresql : sqlite;
  }
};

struct SqlQuery {
  std::string_view sql;
  std::span<const bh_value> values = {};
  std::span<const int32_t> columns = {};
  uint32_t flags = 0;
  uint64_t deadline_ns = 0;
  bh_exchange* ex = nullptr;

  bh_sql_query to_query() const {
    bh_sql_query q = sized<bh_sql_query>();
    q.flags = flags;
    q.sql = to_str(sql);
    q.values = values.data();
    q.value_count = values.size();
    q.columns = columns.data();
    q.column_count = columns.size();
    q.deadline_ns = deadline_ns;
    q.ex = ex;
    return q;
  }
};

// See bh_sql_lookup.
struct SqlLookup {
  std::string_view sql, key_column, key_type;
  bh_value key{};
  std::span<const int32_t> columns = {};
  uint64_t deadline_ns = 0;
  bh_exchange* ex = nullptr;

  bh_sql_lookup to_lookup() const {
    bh_sql_lookup l = sized<bh_sql_lookup>();
    l.sql = to_str(sql);
    l.key_column = to_str(key_column);
    l.key_type = to_str(key_type);
    l.key = key;
    l.columns = columns.data();
    l.column_count = columns.size();
    l.deadline_ns = deadline_ns;
    l.ex = ex;
    return l;
  }
};

namespace detail {

template <typename Row>
bh_status call_row(void* arg, const bh_value* cells, size_t n) noexcept {
  try {
    (*static_cast<Row*>(arg))(std::span(cells, n));
    return BH_OK;
  } catch (...) {
    return BH_E_INTERNAL;
  }
}

}  // namespace detail

// A running transaction, inside the function given to Sql::transact.
class SqlTransaction {
 public:
  SqlTransaction(const bh_sql* api, bh_sql_session* session) : api_(api), session_(session) {}

  // Waits for the result; `row` is called for each row before it returns.
  template <typename Row>
  SqlResult execute(const SqlQuery& query, Row row) const {
    bh_sql_query q = query.to_query();
    q.row = &detail::call_row<Row>;
    q.arg = &row;
    bh_sql_result result = sized<bh_sql_result>();
    api_->execute(session_, &q, &result);
    return SqlResult::of(result);
  }
  SqlResult execute(const SqlQuery& query) const {
    return execute(query, [](std::span<const bh_value>) {});
  }

 private:
  const bh_sql* api_;
  bh_sql_session* session_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_SERVICES_SQL_TYPES_HPP
