#include "bulkhead/testing/local_sql.hpp"

#include <sqlite3.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "bulkhead/plugin.hpp"

namespace bulkhead::testing {

namespace {

using Statement = std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)>;

struct Outcome {
  bh_status status = BH_OK;
  int64_t affected = 0;
  uint64_t rows = 0;
  std::string message;
};

bh_sql_result result_of(const Outcome& outcome) {
  auto result = sized<bh_sql_result>();
  result.status = outcome.status;
  result.affected = outcome.affected;
  result.rows = outcome.rows;
  result.message = to_str(outcome.message);
  return result;
}

bh_status classify(int code) {
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      return BH_E_CONFLICT;
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
      return BH_E_INVALID;
    case SQLITE_FULL:
      return BH_E_FULL;
    default:
      return BH_E_INTERNAL;
  }
}

void bind(sqlite3_stmt* statement, int at, const bh_value& value) {
  switch (value.kind) {
    case BH_NULL:
      sqlite3_bind_null(statement, at);
      break;
    case BH_INT:
    case BH_BOOL:
      sqlite3_bind_int64(statement, at, value.as.i);
      break;
    case BH_REAL:
      sqlite3_bind_double(statement, at, value.as.r);
      break;
    default:
      sqlite3_bind_text(statement, at, value.as.s.ptr, static_cast<int>(value.as.s.len), SQLITE_TRANSIENT);
  }
}

bh_value cell(sqlite3_stmt* statement, int column, int32_t kind) {
  bh_value value{};
  if (sqlite3_column_type(statement, column) == SQLITE_NULL) return value;
  value.kind = kind;
  switch (kind) {
    case BH_INT:
      value.as.i = sqlite3_column_int64(statement, column);
      break;
    case BH_BOOL:
      value.as.i = sqlite3_column_int64(statement, column) != 0 ? 1 : 0;
      break;
    case BH_REAL:
      value.as.r = sqlite3_column_double(statement, column);
      break;
    default: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      value.as.s = {text, static_cast<size_t>(sqlite3_column_bytes(statement, column))};
    }
  }
  return value;
}

// What a query views, kept until it ran.
struct Kept {
  explicit Kept(const bh_sql_query& from)
      : query(from),
        sql(to_view(from.sql)),
        values(from.values, from.values + from.value_count),
        columns(from.columns, from.columns + from.column_count) {
    for (bh_value& value : values)
      if (value.kind == BH_TEXT) value.as.s = to_str(texts.emplace_back(to_view(value.as.s)));
    query.sql = to_str(sql);
    query.values = values.data();
    query.columns = columns.data();
  }
  bh_sql_query query;
  std::string sql;
  std::vector<bh_value> values;
  std::deque<std::string> texts;
  std::vector<int32_t> columns;
};

}  // namespace

class LocalSql::Impl {
 public:
  Impl() {
    if (sqlite3_open(":memory:", &db_) != SQLITE_OK) throw std::runtime_error("SQLite opens no database in memory");
    sqlite3_exec(db_, "PRAGMA foreign_keys=ON", nullptr, nullptr, nullptr);
    api_.dialect = BH_SQL_SQLITE;
    api_.submit = [](void* self, const bh_sql_query* q, bh_error* err) { return of(self).submit(*q, err); };
    api_.transact = [](void* self, const bh_sql_transaction* t, bh_error* err) { return of(self).transact(*t, err); };
    api_.execute = [](bh_sql_session* session, const bh_sql_query* q, bh_sql_result* out) {
      Impl& impl = of(session);
      impl.last_ = impl.execute(*q);
      *out = result_of(impl.last_);
      return impl.last_.status;
    };
    api_.migrate = [](void* self, const bh_sql_migrations* m, bh_error* err) { return of(self).migrate(*m, err); };
    api_.lookup = [](void* self, const bh_sql_lookup* l, bh_error* err) { return of(self).lookup(*l, err); };
    api_.listen = [](void*, const bh_sql_listener*, bh_error* err) {
      return set_error(err, BH_E_UNSUPPORTED, "SQLite has no notifications");
    };
    thread_ = std::thread([this] { work(); });
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
    sqlite3_close(db_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const bh_sql* api() const { return &api_; }
  void set_down(bool down) {
    const std::lock_guard lock(mutex_);
    down_ = down;
  }
  void run(const std::string& sql) {
    const std::lock_guard lock(db_mutex_);
    char* why = nullptr;
    if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &why) == SQLITE_OK) return;
    const std::string message = why != nullptr ? why : "";
    sqlite3_free(why);
    throw std::runtime_error(message);
  }

 private:
  static Impl& of(void* self) { return *static_cast<Impl*>(self); }
  static Impl& of(bh_sql_session* session) { return *reinterpret_cast<Impl*>(session); }

  bh_status take(std::function<void()> work, bh_error* err, bool also_when_down = false) {
    {
      const std::lock_guard lock(mutex_);
      if (down_ && !also_when_down)
        return set_error(err, BH_E_UNAVAILABLE, "The database is not available. Try again in a moment.");
      queue_.push_back(std::move(work));
    }
    changed_.notify_all();
    return BH_OK;
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const auto next = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      next();
      lock.lock();
    }
  }

  Outcome execute(const bh_sql_query& query) {
    sqlite3_stmt* raw = nullptr;
    if (const int code = sqlite3_prepare_v2(db_, query.sql.ptr, static_cast<int>(query.sql.len), &raw, nullptr);
        code != SQLITE_OK)
      return {classify(code), 0, 0, sqlite3_errmsg(db_)};
    const Statement statement(raw, sqlite3_finalize);
    if (static_cast<size_t>(sqlite3_bind_parameter_count(raw)) != query.value_count)
      return {BH_E_INTERNAL, 0, 0, "the query has another number of values than of placeholders"};
    for (size_t i = 0; i < query.value_count; ++i) bind(raw, static_cast<int>(i) + 1, query.values[i]);
    Outcome outcome;
    const int before = sqlite3_total_changes(db_);
    int code = SQLITE_OK;
    while ((code = sqlite3_step(raw)) == SQLITE_ROW) {
      if (query.column_count == 0) continue;
      if (static_cast<size_t>(sqlite3_column_count(raw)) != query.column_count)
        return {BH_E_INTERNAL, 0, 0, "the statement returns another number of columns than the query declares"};
      ++outcome.rows;
      if (query.row == nullptr || outcome.status != BH_OK) continue;
      std::vector<bh_value> cells;
      for (size_t i = 0; i < query.column_count; ++i) cells.push_back(cell(raw, static_cast<int>(i), query.columns[i]));
      outcome.status = query.row(query.arg, cells.data(), cells.size());
    }
    if (code != SQLITE_DONE) return {classify(code), 0, outcome.rows, sqlite3_errmsg(db_)};
    outcome.affected = sqlite3_total_changes(db_) - before;
    return outcome;
  }

  Outcome script(const std::string& sql) {
    const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
    return code == SQLITE_OK ? Outcome{} : Outcome{classify(code), 0, 0, sqlite3_errmsg(db_)};
  }

  bh_status submit(const bh_sql_query& query, bh_error* err) {
    if (!BH_HAS(&query, arg) || query.done == nullptr)
      return set_error(err, BH_E_INVALID, "the query has no done, or its size is not set");
    return take(
        [this, kept = std::make_shared<Kept>(query)] {
          Outcome outcome;
          {
            const std::lock_guard lock(db_mutex_);
            outcome = execute(kept->query);
          }
          const bh_sql_result result = result_of(outcome);
          kept->query.done(kept->query.arg, &result);
        },
        err);
  }

  bh_status transact(const bh_sql_transaction& t, bh_error* err) {
    if (!BH_HAS(&t, ex) || t.run == nullptr || t.done == nullptr)
      return set_error(err, BH_E_INVALID, "the transaction has no run or no done, or its size is not set");
    return take(
        [this, t] {
          Outcome outcome;
          {
            const std::lock_guard lock(db_mutex_);
            outcome = script("begin");
            last_ = {};
            const bh_status status = t.run(t.arg, reinterpret_cast<bh_sql_session*>(this));
            if (status == BH_OK) {
              outcome = script("commit");
            } else {
              outcome = last_;
              if (outcome.status == BH_OK) outcome.status = status;
            }
            if (outcome.status != BH_OK) script("rollback");
          }
          const bh_sql_result result = result_of(outcome);
          t.done(t.arg, &result);
        },
        err);
  }

  bh_status migrate(const bh_sql_migrations& m, bh_error* err) {
    const std::string owner(to_view(m.owner));
    std::vector<std::string> steps;
    for (size_t i = 0; i < m.count; ++i) {
      if (m.list[i].version != i + 1)
        return set_error(err, BH_E_INVALID, "migrations of " + owner + " are not numbered 1, 2, 3, ...");
      steps.emplace_back(to_view(m.list[i].sql));
    }
    {
      const std::lock_guard lock(mutex_);
      if (!owners_.insert(owner).second)
        return set_error(err, BH_E_INVALID, "migrations of " + owner + " are registered already");
    }
    return take(
        [this, steps, done = m.done, arg = m.arg] {
          Outcome outcome;
          {
            const std::lock_guard lock(db_mutex_);
            for (size_t i = 0; i < steps.size() && outcome.status == BH_OK; ++i) outcome = script(steps[i]);
          }
          const bh_sql_result result = result_of(outcome);
          if (done != nullptr) done(arg, &result);
        },
        err, true);
  }

  bh_status lookup(const bh_sql_lookup& l, bh_error* err) {
    if (!BH_HAS(&l, arg) || l.done == nullptr || l.column_count == 0)
      return set_error(err, BH_E_INVALID, "the lookup has no done or no columns, or its size is not set");
    auto query = sized<bh_sql_query>();
    const std::string sql = std::string(to_view(l.sql)) + " and " + std::string(to_view(l.key_column)) + " = :key";
    query.flags = BH_SQL_READ;
    query.sql = to_str(sql);
    query.values = &l.key;
    query.value_count = 1;
    query.columns = l.columns;
    query.column_count = l.column_count;
    query.row = l.row;
    query.done = l.done;
    query.arg = l.arg;
    return submit(query, err);
  }

  bh_sql api_ = sized<bh_sql>();
  sqlite3* db_ = nullptr;
  std::mutex db_mutex_;  // one at a time: of the service's thread and run()
  Outcome last_;         // of the transaction that runs
  std::mutex mutex_;     // what follows
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  std::set<std::string> owners_;
  bool down_ = false, stopping_ = false;
  std::thread thread_;
};

LocalSql::LocalSql() : impl_(std::make_unique<Impl>()) {}
LocalSql::~LocalSql() = default;
const bh_sql* LocalSql::api() const { return impl_->api(); }
void* LocalSql::self() const { return impl_.get(); }
void LocalSql::set_down(bool down) { impl_->set_down(down); }
void LocalSql::run(const std::string& sql) { impl_->run(sql); }

}  // namespace bulkhead::testing
