// bulkhead/services/sql.hpp - C++20 over services/sql.h.
//
//   sql.submit({.sql = "select name from people where uuid = :uuid", .values = values, .columns = columns},
//              [&out](std::span<const bh_value> cells) { ... },          // on a session's thread, once a row
//              [ex = std::move(exchange)](const bulkhead::SqlResult& r) { ex.reply(...); });  // once
//
// Callables are kept until `done` ran. What they throw becomes BH_E_INTERNAL.
#ifndef BULKHEAD_SERVICES_SQL_HPP
#define BULKHEAD_SERVICES_SQL_HPP

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

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
inline void fail(const Exchange& ex, const SqlResult& result) {
  switch (result.status) {
    case BH_E_UNAVAILABLE:
      ex.fail(result.status, "The database is not available. Try again in a moment.");
      break;
    case BH_E_TIMEOUT:
      ex.fail(result.status, "The database took too long.");
      break;
    case BH_E_CONFLICT:
      ex.fail(result.status, "The change collides with another one, or breaks a rule of the database.");
      break;
    case BH_E_INVALID:
      ex.fail(result.status, "The database does not take one of the values.");
      break;
    case BH_E_FULL:
      ex.fail(result.status, "The database has no room left. Nothing was written.");
      break;
    default:
      ex.fail(BH_E_INTERNAL, "query failed: " + result.message);
  }
}

struct SqlQuery {
  std::string_view sql;
  std::span<const bh_value> values = {};
  std::span<const int32_t> columns = {};
  uint32_t flags = 0;
  uint64_t deadline_ns = 0;
  bh_exchange* ex = nullptr;

  bh_sql_query raw() const {
    bh_sql_query q{};
    q.size = sizeof q;
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
    bh_sql_query q = query.raw();
    q.row = &detail::call_row<Row>;
    q.arg = &row;
    bh_sql_result result{};
    result.size = sizeof result;
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

// Its destructor waits for every `done` that is owed, so that callables may hold on to what
// outlives this object. Destroy it in stop(): the provider ends what runs before.
class Sql {
 public:
  explicit Sql(const Host& host) : service_(host.acquire<bh_sql>(BH_SQL_ID, BH_SQL_VERSION)) {}
  Sql(const Sql&) = delete;
  Sql& operator=(const Sql&) = delete;
  ~Sql() {
    for (size_t n = in_flight_->load(); n != 0; n = in_flight_->load()) in_flight_->wait(n);
  }

  // Waits a moment for what is under way; not for migrations, which wait for a database that is
  // down. For quiesce().
  void settle() const {
    static constexpr std::chrono::milliseconds kStep{5};
    static constexpr int kSteps = 200;
    for (int i = 0; i < kSteps && in_flight_->load() > migrating_->load(); ++i) std::this_thread::sleep_for(kStep);
  }
  int32_t dialect() const { return service_->dialect; }
  uint64_t replica_lag_ms() const { return service_->replica_lag_ms; }

  // See bh_sql_listener. Throws Failure where it is refused. The callables may be called until the provider has
  // quiesced, which is before this plugin stops.
  // They must not throw.
  void listen(std::string_view channel, std::function<void(std::string_view payload)> notified,
              std::function<void(bool on)> listening) {
    auto heard = std::make_unique<Heard>(Heard{std::move(notified), std::move(listening)});
    bh_sql_listener l{};
    l.size = sizeof l;
    l.channel = to_str(channel);
    l.notified = [](void* arg, bh_str payload) noexcept { static_cast<Heard*>(arg)->notified(to_view(payload)); };
    l.listening = [](void* arg, int32_t on) noexcept { static_cast<Heard*>(arg)->listening(on != 0); };
    l.arg = heard.get();
    bh_error err{};
    err.size = sizeof err;
    if (const bh_status status = service_->listen(service_.self(), &l, &err); status != BH_OK)
      throw Failure(status, err.message);
    heard_.push_back(std::move(heard));
  }

  // Throws Failure where it is refused; `done` is not called then.
  template <typename Row, typename Done>
  void submit(const SqlQuery& query, Row row, Done done) const {
    struct Pending {
      Flight flight;
      Row row;
      Done done;
    };
    auto pending = std::make_unique<Pending>(Pending{Flight(in_flight_), std::move(row), std::move(done)});
    bh_sql_query q = query.raw();
    q.row = [](void* arg, const bh_value* cells, size_t n) {
      return detail::call_row<Row>(&static_cast<Pending*>(arg)->row, cells, n);
    };
    q.done = [](void* arg, const bh_sql_result* result) { finish<Pending>(arg, *result); };
    q.arg = pending.get();
    bh_error err{};
    err.size = sizeof err;
    if (const bh_status status = service_->submit(service_.self(), &q, &err); status != BH_OK)
      throw Failure(status, err.message);
    static_cast<void>(pending.release());  // finish() owns it
  }

  // One row by its key, together with others that wait. Throws Failure where it is refused.
  template <typename Row, typename Done>
  void lookup(const SqlLookup& lookup, Row row, Done done) const {
    struct Pending {
      Flight flight;
      Row row;
      Done done;
    };
    auto pending = std::make_unique<Pending>(Pending{Flight(in_flight_), std::move(row), std::move(done)});
    bh_sql_lookup l{};
    l.size = sizeof l;
    l.sql = to_str(lookup.sql);
    l.key_column = to_str(lookup.key_column);
    l.key_type = to_str(lookup.key_type);
    l.key = lookup.key;
    l.columns = lookup.columns.data();
    l.column_count = lookup.columns.size();
    l.deadline_ns = lookup.deadline_ns;
    l.ex = lookup.ex;
    l.row = [](void* arg, const bh_value* cells, size_t n) {
      return detail::call_row<Row>(&static_cast<Pending*>(arg)->row, cells, n);
    };
    l.done = [](void* arg, const bh_sql_result* result) { finish<Pending>(arg, *result); };
    l.arg = pending.get();
    bh_error err{};
    err.size = sizeof err;
    if (const bh_status status = service_->lookup(service_.self(), &l, &err); status != BH_OK)
      throw Failure(status, err.message);
    static_cast<void>(pending.release());
  }

  // `run(SqlTransaction&)` returns true to commit; it and `done` run on a session's thread.
  template <typename Run, typename Done>
  void transact(uint64_t deadline_ns, bh_exchange* ex, Run run, Done done) const {
    struct Pending {
      Flight flight;
      const bh_sql* api;
      Run run;
      Done done;
    };
    auto pending =
        std::make_unique<Pending>(Pending{Flight(in_flight_), service_.operator->(), std::move(run), std::move(done)});
    bh_sql_transaction t{};
    t.size = sizeof t;
    t.deadline_ns = deadline_ns;
    t.ex = ex;
    t.run = [](void* arg, bh_sql_session* session) -> bh_status {
      try {
        auto& p = *static_cast<Pending*>(arg);
        SqlTransaction transaction(p.api, session);
        return p.run(transaction) ? BH_OK : BH_E_GONE;
      } catch (...) {
        return BH_E_INTERNAL;
      }
    };
    t.done = [](void* arg, const bh_sql_result* result) { finish<Pending>(arg, *result); };
    t.arg = pending.get();
    bh_error err{};
    err.size = sizeof err;
    if (const bh_status status = service_->transact(service_.self(), &t, &err); status != BH_OK)
      throw Failure(status, err.message);
    static_cast<void>(pending.release());
  }

  // Registers migrations; `done(const SqlResult&)` runs once, when all are applied.
  template <typename Done>
  void migrate(std::string_view owner, std::span<const bh_sql_migration> list, Done done) const {
    struct Pending {
      Flight flight, migration;
      Done done;
    };
    auto pending = std::make_unique<Pending>(Pending{Flight(in_flight_), Flight(migrating_), std::move(done)});
    bh_sql_migrations m{};
    m.size = sizeof m;
    m.owner = to_str(owner);
    m.list = list.data();
    m.count = list.size();
    m.done = [](void* arg, const bh_sql_result* result) { finish<Pending>(arg, *result); };
    m.arg = pending.get();
    bh_error err{};
    err.size = sizeof err;
    if (const bh_status status = service_->migrate(service_.self(), &m, &err); status != BH_OK)
      throw Failure(status, err.message);
    static_cast<void>(pending.release());
  }

  // ---- for the executor and for commands: they wait. Never on an I/O thread.
  template <typename Row>
  SqlResult wait(const SqlQuery& query, Row row) const {
    std::promise<SqlResult> promise;
    submit(query, std::move(row), [&promise](const SqlResult& result) { promise.set_value(result); });
    return promise.get_future().get();
  }
  template <typename Run>
  SqlResult wait_transaction(Run run) const {
    std::promise<SqlResult> promise;
    transact(0, nullptr, std::move(run), [&promise](const SqlResult& result) { promise.set_value(result); });
    return promise.get_future().get();
  }

 private:
  struct Heard {
    std::function<void(std::string_view)> notified;
    std::function<void(bool)> listening;
  };
  using Counter = std::atomic<size_t>;
  // Counts one piece of work until it is over; first member, so that it goes last.
  class Flight {
   public:
    explicit Flight(std::shared_ptr<Counter> counter) : counter_(std::move(counter)) { counter_->fetch_add(1); }
    Flight(Flight&& other) noexcept : counter_(std::move(other.counter_)) {}
    Flight& operator=(Flight&&) = delete;
    ~Flight() {
      if (counter_ && counter_->fetch_sub(1) == 1) counter_->notify_all();
    }

   private:
    std::shared_ptr<Counter> counter_;
  };

  template <typename Pending>
  static void finish(void* arg, const bh_sql_result& result) noexcept {
    const std::unique_ptr<Pending> pending(static_cast<Pending*>(arg));
    try {
      pending->done(SqlResult::of(result));
    } catch (...) {  // the exchange it held is released unanswered: the host says 500
    }
  }

  std::vector<std::unique_ptr<Heard>> heard_;
  Service<bh_sql> service_;
  std::shared_ptr<Counter> in_flight_ = std::make_shared<Counter>(0), migrating_ = std::make_shared<Counter>(0);
};

}  // namespace bulkhead

#endif  // BULKHEAD_SERVICES_SQL_HPP
