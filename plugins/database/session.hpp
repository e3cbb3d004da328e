// Session: one connection of a database, used by one thread. What differs between databases is in
// its implementations.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.h"
#include "outcome.hpp"
#include "url.hpp"

namespace database {

class Passfile;
class QuerySpans;

struct SessionSettings {
  Url url;
  uint32_t statement_timeout_ms = 10'000;
  uint32_t connect_timeout_s = 5;
  std::string application_name;
  std::shared_ptr<Passfile> passfile;  // null without a password
  // A pooler in transaction mode stands in between: nothing of the session outlives its
  // transaction.
  bool pooled = false;
  std::stop_token stopping = {};  // ends waits for name servers
  std::shared_ptr<std::atomic<uint64_t>> rows_written = std::make_shared<std::atomic<uint64_t>>(0);
  // Set once a pooler shows itself where none was declared.
  std::shared_ptr<std::atomic<bool>> pooler_met = std::make_shared<std::atomic<bool>>(false);
};

class Session {
 public:
  Session() = default;
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  static Session* of(bh_sql_session* handle) { return reinterpret_cast<Session*>(handle); }
  bh_sql_session* handle() { return reinterpret_cast<bh_sql_session*>(this); }

  // None of these throws.
  virtual Outcome connect() = 0;
  virtual void disconnect() = 0;
  virtual bool connected() const = 0;
  // False where the server has closed the connection meanwhile. Asks the kernel, not the server.
  virtual bool alive() = 0;
  // [any] A request to break off the statement that runs now, which then fails; the connection
  // stays. To be called on a thread of its own, since a server that hangs may never answer it, and
  // before the session begins another statement. Does not refer to this session. Empty where there
  // is nothing to ask: the statement has broken off by then.
  virtual std::function<void()> cancel_request() = 0;
  // [any] What waits for the database gives up at once; on a server the connection is lost.
  virtual void interrupt() = 0;
  // [any] interrupt(), where the database owes an answer since before `asked_before`: the one that
  // would cancel a statement at its timeout may be what hangs.
  void interrupt_hung(std::chrono::steady_clock::time_point asked_before) {
    const auto asked = asked_.load();
    if (asked != kNothing && asked < asked_before && !unbounded_) interrupt();
  }
  // A migration may take as long as it takes.
  void set_unbounded(bool on) { unbounded_ = on; }

  virtual Outcome execute(const bh_sql_query& query) = 0;
  // Statements that change something, in one transaction; each succeeds or fails as if alone, and
  // `outcomes` tell after the commit. Of the connection itself: lost, or BH_OK.
  Outcome execute_together(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes);
  virtual Outcome begin(bool read_only) = 0;
  virtual Outcome commit() = 0;
  virtual void rollback() = 0;
  // Several statements without placeholders, as a migration has them.
  virtual Outcome script(std::string_view sql) = 0;

  // The outcome of the last execute(), kept for bh_sql.execute.
  Outcome& last() { return last_; }

  // The transaction that runs: its statements have spans below its own.
  struct Traced {
    const QuerySpans* spans = nullptr;
    const bulkhead::Span* parent = nullptr;
  };
  Traced traced;

 protected:
  // execute_together() but for the queries in `alone`, which have to be sent by themselves: nothing
  // of them has happened.
  virtual Outcome attempt_together(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes,
                                   std::vector<size_t>* alone) = 0;

  // The database is asked for something from here to the end of the scope.
  class Asking {
   public:
    explicit Asking(Session& session) : session_(session) { session_.asked_ = std::chrono::steady_clock::now(); }
    ~Asking() { session_.asked_ = kNothing; }
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;

   private:
    Session& session_;
  };

 private:
  static constexpr std::chrono::steady_clock::time_point kNothing{};

  std::atomic<std::chrono::steady_clock::time_point> asked_{kNothing};  // when what runs was handed over
  std::atomic<bool> unbounded_{false};
  Outcome last_;
};

}  // namespace database
