// PgSession: a connection to a PostgreSQL server.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <mutex>
#include <string>

#include "postgresql/multirow.hpp"
#include "postgresql/pg_statements.hpp"
#include "session.hpp"

namespace soci {
class session;
}

namespace database {

class PgSession final : public Session {
 public:
  explicit PgSession(const SessionSettings& settings);
  ~PgSession() override;

  Outcome connect() override;
  void disconnect() override;
  bool connected() const override { return session_ != nullptr; }
  bool alive() override;
  std::function<void()> cancel_request() override;
  void interrupt() override;
  Outcome execute(const bh_sql_query& query) override;
  Outcome begin(bool read_only) override;
  Outcome commit() override;
  void rollback() override { script("ROLLBACK"); }
  Outcome script(std::string_view sql) override;

 private:
  // In one round trip, single-row inserts of one text with all their rows.
  Outcome attempt_together(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes,
                           std::vector<size_t>* alone) override;
  // Runs work on the session; whatever it throws becomes an outcome.
  template <typename Work>
  Outcome guarded(Work work);
  void open(const std::string& conninfo);
  bool meets_pooler() const;
  Outcome attempt(const bh_sql_query& query);
  // Whether the statement failed because of how it was prepared, and may be tried again: another
  // host changed the table (0A000, a plan's columns are others now), or a pooler stands in between
  // (26000 and 42P05, a name that is not there or is there already). In a transaction only as its
  // first statement, for then nothing else is undone.
  bool prepare_anew(std::string_view sqlstate);
  std::string timeouts(const std::string& local) const;
  PGconn* connection() const;

  const SessionSettings& settings_;
  std::mutex mutex_;  // opening and closing of session_, against interrupt()
  std::unique_ptr<soci::session> session_;
  PgStatements statements_;
  size_t executed_ = 0;  // statements of the transaction
  MultiRowTexts multi_row_texts_;
};

}  // namespace database
