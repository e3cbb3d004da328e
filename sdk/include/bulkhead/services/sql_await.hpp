// bulkhead/services/sql_await.hpp - what Sql::query, lookup and transact give a coroutine. Included
// by sql.hpp.
#ifndef BULKHEAD_SERVICES_SQL_AWAIT_HPP
#define BULKHEAD_SERVICES_SQL_AWAIT_HPP

#include <atomic>
#include <coroutine>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>

#include "bulkhead/services/sql_types.hpp"
#include "bulkhead/task.hpp"

namespace bulkhead {

namespace detail {

using SqlCounter = std::atomic<size_t>;
// Counts one piece of work until it is over.
class SqlFlight {
 public:
  explicit SqlFlight(std::shared_ptr<SqlCounter> counter) : counter_(std::move(counter)) { counter_->fetch_add(1); }
  SqlFlight(SqlFlight&& other) noexcept : counter_(std::move(other.counter_)) {}
  SqlFlight& operator=(SqlFlight&&) = delete;
  ~SqlFlight() {
    if (counter_ && counter_->fetch_sub(1) == 1) counter_->notify_all();
  }

 private:
  std::shared_ptr<SqlCounter> counter_;
};

// An await of one piece of work. Derived has submit(bh_error*), which hands over this object as
// `arg`.
template <typename Derived>
class SqlWait {
 public:
  SqlWait(const Service<bh_sql>& service, std::shared_ptr<SqlCounter> counter)
      : service_(service), counter_(std::move(counter)) {}
  SqlWait(const SqlWait&) = delete;
  SqlWait& operator=(const SqlWait&) = delete;

  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiting) {
    if (!waiting.promise().live()) throw Gone();
    waiting_ = waiting;
    flight_.emplace(counter_);
    bh_error err = sized<bh_error>();
    // Once it is accepted this object may be gone.
    if (const bh_status status = static_cast<Derived*>(this)->submit(&err); status != BH_OK)
      throw Failure(status, err.message);
    return true;
  }
  SqlResult await_resume() { return std::move(result_); }

 protected:
  ~SqlWait() = default;

  static void done(void* arg, const bh_sql_result* result) noexcept {
    SqlWait& self = *static_cast<Derived*>(arg);
    const SqlFlight flight = std::move(*self.flight_);
    try {
      self.result_ = SqlResult::of(*result);
    } catch (const std::bad_alloc&) {
      self.result_.status = result->status;
    }
    self.waiting_.resume();
  }

  const Service<bh_sql>& service_;

 private:
  std::shared_ptr<SqlCounter> counter_;
  std::optional<SqlFlight> flight_;
  std::coroutine_handle<> waiting_;
  SqlResult result_;
};

template <typename Row>
class [[nodiscard]] SqlQueryWait : public SqlWait<SqlQueryWait<Row>> {
  using Base = SqlWait<SqlQueryWait>;

 public:
  SqlQueryWait(const Service<bh_sql>& service, std::shared_ptr<SqlCounter> counter, const SqlQuery& query, Row row)
      : Base(service, std::move(counter)), query_(query), row_(std::move(row)) {}
  bh_status submit(bh_error* err) {
    bh_sql_query q = query_.to_query();
    q.row = [](void* arg, const bh_value* cells, size_t n) {
      return call_row<Row>(&static_cast<SqlQueryWait*>(arg)->row_, cells, n);
    };
    q.done = &Base::done;
    q.arg = this;
    return this->service_->submit(this->service_.self(), &q, err);
  }

 private:
  SqlQuery query_;
  Row row_;
};

template <typename Row>
class [[nodiscard]] SqlLookupWait : public SqlWait<SqlLookupWait<Row>> {
  using Base = SqlWait<SqlLookupWait>;

 public:
  SqlLookupWait(const Service<bh_sql>& service, std::shared_ptr<SqlCounter> counter, const SqlLookup& lookup, Row row)
      : Base(service, std::move(counter)), lookup_(lookup), row_(std::move(row)) {}
  bh_status submit(bh_error* err) {
    bh_sql_lookup l = lookup_.to_lookup();
    l.row = [](void* arg, const bh_value* cells, size_t n) {
      return call_row<Row>(&static_cast<SqlLookupWait*>(arg)->row_, cells, n);
    };
    l.done = &Base::done;
    l.arg = this;
    return this->service_->lookup(this->service_.self(), &l, err);
  }

 private:
  SqlLookup lookup_;
  Row row_;
};

template <typename Run>
class [[nodiscard]] SqlTransactionWait : public SqlWait<SqlTransactionWait<Run>> {
  using Base = SqlWait<SqlTransactionWait>;

 public:
  SqlTransactionWait(const Service<bh_sql>& service, std::shared_ptr<SqlCounter> counter, uint64_t deadline_ns,
                     bh_exchange* ex, Run run)
      : Base(service, std::move(counter)), deadline_ns_(deadline_ns), ex_(ex), run_(std::move(run)) {}
  bh_status submit(bh_error* err) {
    bh_sql_transaction t = sized<bh_sql_transaction>();
    t.deadline_ns = deadline_ns_;
    t.ex = ex_;
    t.run = [](void* arg, bh_sql_session* session) noexcept -> bh_status {
      auto& self = *static_cast<SqlTransactionWait*>(arg);
      self.thrown_ = nullptr;  // a conflict may have it run again
      try {
        SqlTransaction transaction(self.service_.operator->(), session);
        return self.run_(transaction) ? BH_OK : BH_E_GONE;
      } catch (...) {
        self.thrown_ = std::current_exception();
        return BH_E_GONE;  // no failure of the database
      }
    };
    t.done = &Base::done;
    t.arg = this;
    return this->service_->transact(this->service_.self(), &t, err);
  }
  // What `run` threw goes on here, once everything is rolled back.
  SqlResult await_resume() {
    if (thrown_) std::rethrow_exception(thrown_);
    return Base::await_resume();
  }

 private:
  uint64_t deadline_ns_;
  bh_exchange* ex_;
  Run run_;
  std::exception_ptr thrown_;
};

}  // namespace detail

}  // namespace bulkhead

#endif  // BULKHEAD_SERVICES_SQL_AWAIT_HPP
