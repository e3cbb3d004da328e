// SqliteSession: a connection to a file, in WAL mode.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>

#include "session.hpp"
#include "sqlite/sqlite_statements.hpp"

namespace soci {
class session;
}
namespace sqlite_api {  // where SOCI puts sqlite3.h
struct sqlite3;
}

namespace database {

class SqliteSession final : public Session {
 public:
  explicit SqliteSession(const SessionSettings& settings);
  ~SqliteSession() override;

  Outcome connect() override;
  void disconnect() override;
  bool connected() const override { return session_ != nullptr; }
  bool alive() override { return session_ != nullptr; }
  std::function<void()> cancel_request() override;
  void interrupt() override;
  Outcome execute(const bh_sql_query& query) override;
  Outcome begin(bool read_only) override;
  Outcome commit() override { return script("COMMIT"); }
  void rollback() override { script("ROLLBACK"); }
  Outcome script(std::string_view sql) override;

 private:
  Outcome attempt_together(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes,
                           std::vector<size_t>* alone) override;
  // Runs work on the session; whatever it throws becomes an outcome.
  template <typename Work>
  Outcome guarded(Work work);
  void open();
  void arm_deadline();
  sqlite_api::sqlite3* db() const;

  const SessionSettings& settings_;
  std::mutex mutex_;  // opening and closing of session_, against interrupt()
  std::unique_ptr<soci::session> session_;
  SqliteStatements statements_;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace database
