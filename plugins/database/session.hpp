// Session: one connection of the database, used by one thread. The only code that
// knows SOCI and the drivers below it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.h"
#include "passfile.hpp"
#include "url.hpp"

namespace database {

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

// What went wrong with a statement, or nothing.
struct Outcome {
  bh_status status = BH_OK;
  bool lost = false;  // the connection is gone; nothing of the session can be used
  int64_t affected = 0;
  uint64_t rows = 0;
  std::string sqlstate, message;  // message: first line of the database's own words, no values
};

class Session {
 public:
  explicit Session(const SessionSettings& settings);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  static Session* of(bh_sql_session* handle) { return reinterpret_cast<Session*>(handle); }
  bh_sql_session* handle() { return reinterpret_cast<bh_sql_session*>(this); }

  // None of these throws.
  Outcome connect();
  // Statements first: one that outlives its connection crashes (SOCI 4.0).
  void disconnect();
  bool connected() const;
  // False where the server has closed the connection meanwhile. Asks the kernel, not the server.
  bool alive();
  // [any] A request to break off the statement that runs now, which then fails; the connection
  // stays. To be called on a thread of its own, since a server that hangs may never answer it, and
  // before the session begins another statement. Does not refer to this session. Empty where there
  // is nothing to ask: SQLite has broken off by then.
  std::function<void()> cancel_request();
  // [any] What waits for the server gives up at once; the connection is lost.
  void interrupt();
  // [any] interrupt(), where the server owes an answer since before `asked_before`: the one that
  // would cancel a statement at its timeout may be what hangs.
  void interrupt_hung(std::chrono::steady_clock::time_point asked_before);
  // A migration may take as long as it takes.
  void wait_for_ever(bool on);
  Outcome execute(const bh_sql_query& query);
  // Statements that change something, in one transaction; each succeeds or fails as if alone, and
  // `outcomes` tell after the commit. Of the connection itself: lost, or BH_OK.
  Outcome execute_together(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes);
  Outcome begin(bool read_only);
  Outcome commit();
  void rollback();
  // Several statements without placeholders, as a migration has them.
  Outcome script(std::string_view sql);
  // The outcome of the last execute(), kept for bh_sql.execute.
  Outcome& last() { return last_; }

  // The transaction that runs: its statements have spans below its own.
  struct Traced {
    const QuerySpans* spans = nullptr;
    const bulkhead::Span* parent = nullptr;
  };
  Traced traced;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
  Outcome last_;
};

}  // namespace database
