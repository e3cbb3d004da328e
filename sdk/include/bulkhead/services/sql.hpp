// bulkhead/services/sql.hpp - C++20 over services/sql.h.
//
// In a coroutine (task.hpp):
//
//   const auto take = [&name](std::span<const bh_value> cells) { ... };  // once a row
//   auto query = sql.query({.sql = "select name from people where uuid = :uuid",
//                           .values = values, .columns = columns}, take);
//   const bulkhead::SqlResult result = co_await query;
//
// `take` runs on a session's thread, and so does what follows the await.
//
// Elsewhere, submit() and its kind take a `done` that is called once. Callables are kept until the
// work is over. What `row` throws becomes BH_E_INTERNAL.
#ifndef BULKHEAD_SERVICES_SQL_HPP
#define BULKHEAD_SERVICES_SQL_HPP

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.h"
#include "bulkhead/services/sql_await.hpp"
#include "bulkhead/services/sql_types.hpp"

namespace bulkhead {

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

  // See bh_sql_listener. Throws Failure where it is refused. The callables may be called until the
  // provider has quiesced, which is before this plugin stops. They must not throw.
  void listen(std::string_view channel, std::function<void(std::string_view payload)> notified,
              std::function<void(bool on)> listening) {
    auto heard = std::make_unique<Heard>(Heard{std::move(notified), std::move(listening)});
    bh_sql_listener l = sized<bh_sql_listener>();
    l.channel = to_str(channel);
    l.notified = [](void* arg, bh_str payload) noexcept { static_cast<Heard*>(arg)->notified(to_view(payload)); };
    l.listening = [](void* arg, int32_t on) noexcept { static_cast<Heard*>(arg)->listening(on != 0); };
    l.arg = heard.get();
    bh_error err = sized<bh_error>();
    if (const bh_status status = service_->listen(service_.self(), &l, &err); status != BH_OK)
      throw Failure(status, err.message);
    heard_.push_back(std::move(heard));
  }

  // ---- awaited in a coroutine. They throw Failure where the provider refuses, Gone where the
  // caller has left before. Text, values and columns must live until the await begins, which copies
  // them; `row` and `run` may refer to the frame.
  template <typename Row>
  auto query(const SqlQuery& query, Row row) const {
    return detail::SqlQueryWait<Row>(service_, in_flight_, query, std::move(row));
  }
  auto query(const SqlQuery& query) const {
    auto ignore = [](std::span<const bh_value>) {};
    return detail::SqlQueryWait<decltype(ignore)>(service_, in_flight_, query, ignore);
  }
  // One row by its key, together with others that wait.
  template <typename Row>
  auto lookup(const SqlLookup& lookup, Row row) const {
    return detail::SqlLookupWait<Row>(service_, in_flight_, lookup, std::move(row));
  }
  // `run(SqlTransaction&)` returns true to commit. What it throws rolls back, and is thrown from
  // the await.
  template <typename Run>
  auto transact(uint64_t deadline_ns, bh_exchange* ex, Run run) const {
    return detail::SqlTransactionWait<Run>(service_, in_flight_, deadline_ns, ex, std::move(run));
  }

  // ---- with callables. They throw Failure where the work is refused; `done` is not called then.
  template <typename Row, typename Done>
  void submit(const SqlQuery& query, Row row, Done done) const {
    struct Pending {
      Flight flight;
      Row row;
      Done done;
    };
    auto pending = std::make_unique<Pending>(Pending{Flight(in_flight_), std::move(row), std::move(done)});
    bh_sql_query q = query.to_query();
    q.row = [](void* arg, const bh_value* cells, size_t n) {
      return detail::call_row<Row>(&static_cast<Pending*>(arg)->row, cells, n);
    };
    q.done = [](void* arg, const bh_sql_result* result) { finish<Pending>(arg, *result); };
    q.arg = pending.get();
    bh_error err = sized<bh_error>();
    if (const bh_status status = service_->submit(service_.self(), &q, &err); status != BH_OK)
      throw Failure(status, err.message);
    static_cast<void>(pending.release());  // finish() owns it
  }

  template <typename Row, typename Done>
  void lookup(const SqlLookup& lookup, Row row, Done done) const {
    struct Pending {
      Flight flight;
      Row row;
      Done done;
    };
    auto pending = std::make_unique<Pending>(Pending{Flight(in_flight_), std::move(row), std::move(done)});
    bh_sql_lookup l = lookup.to_lookup();
    l.row = [](void* arg, const bh_value* cells, size_t n) {
      return detail::call_row<Row>(&static_cast<Pending*>(arg)->row, cells, n);
    };
    l.done = [](void* arg, const bh_sql_result* result) { finish<Pending>(arg, *result); };
    l.arg = pending.get();
    bh_error err = sized<bh_error>();
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
    bh_sql_transaction t = sized<bh_sql_transaction>();
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
    bh_error err = sized<bh_error>();
    if (const bh_status status = service_->transact(service_.self(), &t, &err); status != BH_OK)
      throw Failure(status, err.message);
    static_cast<void>(pending.release());
  }

  // Registers migrations; `done(const SqlResult&)` runs once, when all are applied.
  template <typename Done>
  void migrate(std::string_view owner, const SqlMigrations& migrations, Done done) const {
    migrate(owner, migrations.of(dialect()), std::move(done));
  }
  template <typename Done>
  void migrate(std::string_view owner, std::span<const bh_sql_migration> list, Done done) const {
    struct Pending {
      Flight flight, migration;
      Done done;
    };
    auto pending = std::make_unique<Pending>(Pending{Flight(in_flight_), Flight(migrating_), std::move(done)});
    bh_sql_migrations m = sized<bh_sql_migrations>();
    m.owner = to_str(owner);
    m.list = list.data();
    m.count = list.size();
    m.done = [](void* arg, const bh_sql_result* result) { finish<Pending>(arg, *result); };
    m.arg = pending.get();
    bh_error err = sized<bh_error>();
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
  using Flight = detail::SqlFlight;

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
  std::shared_ptr<detail::SqlCounter> in_flight_ = std::make_shared<detail::SqlCounter>(0),
                                      migrating_ = std::make_shared<detail::SqlCounter>(0);
};

}  // namespace bulkhead

#endif  // BULKHEAD_SERVICES_SQL_HPP
