#include "session.hpp"

#include <libpq-fe.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <atomic>

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "conninfo.hpp"
#include "multirow.hpp"
#include "postgresql.hpp"
#include "result.hpp"
#include "sqlite.hpp"

namespace database {

using bulkhead::to_view;
using namespace sqlite_api;  // where SOCI puts sqlite3.h

namespace {

std::string first_line(std::string text) {
  text.resize(std::min(text.find('\n'), text.size()));
  return text;
}

// What a failed connect says stands on several lines; the password is in none of them.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  text.resize(text.find_last_not_of(' ') + 1);
  return text;
}

bh_status classify(std::string_view sqlstate) {
  const std::string_view kind = sqlstate.substr(0, 2);
  if (sqlstate == "08P01") return BH_E_INTERNAL;
  if (kind == "08" || sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P03") return BH_E_UNAVAILABLE;
  if (sqlstate == "57014") return BH_E_TIMEOUT;
  if (kind == "23" || kind == "40") return BH_E_CONFLICT;
  if (kind == "22") return BH_E_INVALID;
  if (sqlstate == "53100") return BH_E_FULL;
  if (kind == "53" || sqlstate == "25006" || sqlstate == "55P03") return BH_E_UNAVAILABLE;
  return BH_E_INTERNAL;
}

bh_status classify_sqlite(int result) {
  switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return BH_E_UNAVAILABLE;
    case SQLITE_FULL:
      return BH_E_FULL;
    case SQLITE_CONSTRAINT:
      return BH_E_CONFLICT;
    case SQLITE_INTERRUPT:
      return BH_E_TIMEOUT;
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
      return BH_E_INVALID;
    default:
      return BH_E_INTERNAL;
  }
}

}  // namespace

class Session::Impl {
 public:
  explicit Impl(const SessionSettings& settings)
      : settings_(settings), statements_(settings.pooled ? settings.statement_timeout_ms : 0, settings.rows_written) {}
  ~Impl() { disconnect(); }

  Outcome connect() {
    disconnect();
    if (settings_.url.dialect == Dialect::kSqlite) return guarded([&](Outcome&) { connect_sqlite(); });
    Conninfo server;
    Outcome outcome = guarded([&](Outcome&) {
      server = conninfo(settings_);
      if (server.text.empty()) throw soci::soci_error(std::exchange(server.unknown, {}));
      connect_postgresql(server.text);
    });
    if (outcome.status != BH_OK && !server.unknown.empty()) outcome.message += "; " + server.unknown;
    return outcome;
  }

  void disconnect() {
    const std::lock_guard lock(connection_mutex_);
    statements_.clear();
    sqlite_statements_.clear();
    session_.reset();
  }

  bool alive() {
    auto* pg = postgresql();
    if (pg == nullptr) return session_ != nullptr;
    pollfd socket{PQsocket(pg->conn_), POLLIN, 0};
    if (::poll(&socket, 1, 0) == 0) return true;
    return PQconsumeInput(pg->conn_) == 1 && PQstatus(pg->conn_) == CONNECTION_OK;
  }

  void interrupt() {
    const std::lock_guard lock(connection_mutex_);
    if (session_ == nullptr) return;
    if (auto* pg = postgresql(); pg != nullptr)
      ::shutdown(PQsocket(pg->conn_), SHUT_RDWR);
    else
      sqlite3_interrupt(sqlite());
  }

  std::function<void()> cancel_request() {
    const std::lock_guard lock(connection_mutex_);
    if (session_ == nullptr) return {};
    auto* pg = postgresql();
    if (pg == nullptr) {
      sqlite3_interrupt(sqlite());
      return {};
    }
    const std::shared_ptr<PGcancel> request(PQgetCancel(pg->conn_), PQfreeCancel);
    if (!request) return {};
    return [request] {
      char why[256];
      PQcancel(request.get(), why, sizeof why);  // where that fails the statement runs to its timeout
    };
  }

  void interrupt_hung(std::chrono::steady_clock::time_point asked_before) {
    const auto asked = asked_.load();
    if (asked != kNobody && asked < asked_before && !for_ever_) interrupt();
  }
  void wait_for_ever(bool on) { for_ever_ = on; }

  // PostgreSQL answers COMMIT of a failed transaction with success and a rollback.
  Outcome commit() {
    if (auto* pg = postgresql(); pg != nullptr && PQtransactionStatus(pg->conn_) == PQTRANS_INERROR) {
      rollback();
      return {BH_E_CONFLICT, false, 0, 0, "25P02", "a statement of the transaction had failed"};
    }
    return script("COMMIT");
  }
  void rollback() { script("ROLLBACK"); }

  bool connected() const { return session_ != nullptr; }

  static bool holds_nul(const bh_sql_query& query) {
    for (size_t i = 0; i < query.value_count; ++i) {
      const bh_value& v = query.values[i];
      if (v.kind == BH_TEXT && to_view(v.as.s).find('\0') != std::string_view::npos) return true;
    }
    return false;
  }

  Outcome execute_together(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes) {
    std::vector<size_t> alone;
    Outcome all = settings_.url.dialect == Dialect::kPostgresql ? pipelined(queries, outcomes, &alone)
                                                                : savepoints(queries, outcomes, &alone);
    if (all.status != BH_OK) return all;
    for (auto it = alone.begin(); it != alone.end(); ++it) {
      outcomes[*it] = execute(*queries[*it]);
      if (!outcomes[*it].lost && outcomes[*it].status != BH_E_TIMEOUT) continue;
      // The others have waited long enough, or no session can be asked.
      const Outcome rest = outcomes[*it].lost ? outcomes[*it] : unavailable("another write took too long");
      for (auto other = it + 1; other != alone.end(); ++other) outcomes[*other] = rest;
      return outcomes[*it].lost ? rest : Outcome{};
    }
    return {};
  }

  // Leaves in `alone` those that have to be sent by themselves: nothing of them has happened.
  Outcome pipelined(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes,
                    std::vector<size_t>* alone) {
    static constexpr int kRefusals = 3;  // then each for itself
    std::vector<size_t> rest;
    for (size_t i = 0; i < queries.size(); ++i) (holds_nul(*queries[i]) ? *alone : rest).push_back(i);
    bool several_rows = true;
    for (int refusals = 0; rest.size() > 1 && refusals < kRefusals; ++refusals) {
      std::vector<const bh_sql_query*> chosen;
      chosen.reserve(rest.size());
      for (const size_t i : rest) chosen.push_back(queries[i]);
      std::vector<MergedQuery> merged;
      if (several_rows) {
        merged = merge(chosen, &multi_row_texts_);
        chosen.clear();
        for (const MergedQuery& one : merged) chosen.push_back(&one.query);
      }
      std::vector<Outcome> results(chosen.size());
      std::optional<PgStatements::Refusal> refusal;
      Outcome all =
          guarded([&](Outcome&) { refusal = statements_.execute_together(postgresql()->conn_, chosen, results); });
      if (all.lost) {  // whether the commit came to be is not known
        for (const auto* group : {&rest, alone})
          for (const size_t i : *group) outcomes[i] = all;
        return all;
      }
      if (all.status != BH_OK) break;  // one of them cannot even be prepared
      if (!refusal) {
        for (size_t i = 0; i < results.size(); ++i) {
          const size_t first = merged.empty() ? i : merged[i].first, count = merged.empty() ? 1 : merged[i].count;
          if (count > 1) results[i].affected /= static_cast<int64_t>(count);  // one each, or a trigger took them all
          for (size_t row = first; row < first + count; ++row) outcomes[rest[row]] = results[i];
        }
        return {};
      }
      if (std::exchange(several_rows, false) && merged.size() < rest.size()) continue;  // which row was it?
      if (refusal->index >= rest.size()) break;
      const size_t culprit = rest[refusal->index];
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(refusal->index));
      statements_.forget(to_view(queries[culprit]->sql));
      const bh_status status = classify(refusal->sqlstate);
      if (status == BH_E_TIMEOUT || status == BH_E_UNAVAILABLE)
        outcomes[culprit] = {status, false, 0, 0, refusal->sqlstate, refusal->message};
      else
        alone->push_back(culprit);
    }
    alone->insert(alone->end(), rest.begin(), rest.end());
    return {};
  }

  // The same on SQLite.
  Outcome savepoints(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes,
                     std::vector<size_t>* alone) {
    Outcome all = begin(false);
    if (all.status != BH_OK) {
      std::fill(outcomes.begin(), outcomes.end(), all);
      return all.lost ? all : Outcome{};
    }
    size_t culprit = queries.size();
    for (size_t i = 0; i < queries.size() && all.status == BH_OK; ++i) {
      all = script("savepoint bh");
      if (all.status != BH_OK) break;
      outcomes[i] = execute(*queries[i]);
      if (outcomes[i].status != BH_OK && sqlite3_get_autocommit(sqlite()) != 0) {  // it took the transaction along
        culprit = i;
        break;
      }
      all = script(outcomes[i].status == BH_OK ? "release bh" : "rollback to bh; release bh");
    }
    if (culprit == queries.size() && all.status == BH_OK) all = commit();
    if (culprit == queries.size() && all.status == BH_OK) return {};
    if (sqlite3_get_autocommit(sqlite()) == 0) rollback();
    for (size_t i = 0; i < queries.size(); ++i) {
      if (i == culprit) continue;
      if (outcomes[i].rows == 0)
        alone->push_back(i);
      else  // its rows were given and are not true: they are not given again
        outcomes[i] = unavailable("the transaction was rolled back");
    }
    return {};
  }

  Outcome execute(const bh_sql_query& query) {
    if (holds_nul(query))
      return {BH_E_INVALID, false, 0, 0, "", "a text value holds NUL, which the database cannot store"};
    Outcome result = attempt(query);
    if (result.status != BH_OK && result.rows == 0 && prepare_anew(result.sqlstate)) result = attempt(query);
    ++executed_;
    return result;
  }

  // Whether the statement failed because of how it was prepared, and may be tried again: another
  // host changed the table (0A000, a plan's columns are others now), or a pooler stands in between
  // (26000 and 42P05, a name that is not there or is there already). In a transaction only as its
  // first statement, for then nothing else is undone.
  bool prepare_anew(std::string_view sqlstate) {
    const bool pooler = sqlstate == "26000" || sqlstate == "42P05";
    if (postgresql() == nullptr || (sqlstate != "0A000" && !pooler) || statements_.pooled()) return false;
    const bool transaction = PQtransactionStatus(postgresql()->conn_) != PQTRANS_IDLE;
    if (pooler) {
      *settings_.pooler_met = true;
      statements_.behind_pooler(settings_.statement_timeout_ms);
    } else {
      statements_.forget_all();
    }
    if (!transaction) return true;
    if (executed_ != 0) return false;
    rollback();
    return begin(true).status == BH_OK;
  }

  Outcome attempt(const bh_sql_query& query) {
    if (auto* pg = postgresql(); pg != nullptr) {
      if (!statements_.pooled() && *settings_.pooler_met) statements_.behind_pooler(settings_.statement_timeout_ms);
      Outcome result = guarded([&](Outcome& outcome) { statements_.execute(pg->conn_, query, &outcome); });
      if (result.status != BH_OK && !result.lost) statements_.forget(to_view(query.sql));
      return result;
    }
    Outcome result = guarded([&](Outcome& outcome) {
      arm_deadline();
      sqlite_statements_.execute(*session_, query, &outcome);
    });
    if (result.status != BH_OK && !result.lost) sqlite_statements_.forget_last();
    return result;
  }

  // A deferred SQLite transaction that writes late can fail with BUSY at any statement; an
  // immediate one waits at BEGIN.
  Outcome begin(bool read_only) {
    Outcome begun = begin_script(read_only);
    executed_ = 0;
    return begun;
  }
  Outcome begin_script(bool read_only) {
    if (statements_.pooled()) return script("BEGIN; " + timeouts("local "));
    return script(settings_.url.dialect == Dialect::kSqlite && !read_only ? "BEGIN IMMEDIATE" : "BEGIN");
  }

  Outcome script(std::string_view sql) {
    ++executed_;
    return guarded([&](Outcome& outcome) {
      const std::string text(sql);
      arm_deadline();
      if (auto* pg = postgresql()) {
        const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(pg->conn_, text.c_str()), PQclear);
        const ExecStatusType status = PQresultStatus(result.get());
        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) return;
        const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
        throw soci::postgresql_soci_error(PQerrorMessage(pg->conn_), state != nullptr ? state : "08000");
      }
      if (const int result = sqlite3_exec(sqlite(), text.c_str(), nullptr, nullptr, nullptr); result != SQLITE_OK) {
        outcome.status = classify_sqlite(result);
        outcome.message = sqlite3_errmsg(sqlite());
      }
    });
  }

 private:
  // Runs work on the session; whatever it throws becomes an outcome.
  Outcome guarded(const std::function<void(Outcome&)>& work) {
    Outcome outcome;
    asked_ = std::chrono::steady_clock::now();
    const std::unique_ptr<std::atomic<std::chrono::steady_clock::time_point>, Answered> answered(&asked_);
    try {
      work(outcome);
    } catch (const soci::postgresql_soci_error& error) {
      outcome.sqlstate = error.sqlstate();
      outcome.status = classify(outcome.sqlstate);
      outcome.message =
          session_ == nullptr ? one_line(error.get_error_message()) : first_line(error.get_error_message());
      // 08P01 is a statement with another number of values than it has places for.
      outcome.lost = session_ == nullptr || PQstatus(postgresql()->conn_) == CONNECTION_BAD ||
                     (outcome.sqlstate.starts_with("08") && outcome.sqlstate != "08P01") ||
                     outcome.sqlstate.starts_with("57P") ||
                     outcome.sqlstate == "25006";  // a standby now: another server takes writes
      if (outcome.lost) outcome.status = BH_E_UNAVAILABLE;
    } catch (const soci::sqlite3_soci_error& error) {
      outcome.status = classify_sqlite(error.result());
      outcome.message = first_line(error.get_error_message());
      outcome.lost = session_ == nullptr;
    } catch (const soci::soci_error& error) {
      outcome.status = session_ == nullptr ? BH_E_UNAVAILABLE : BH_E_INTERNAL;
      outcome.message = one_line(error.get_error_message());
      outcome.lost = session_ == nullptr;
    } catch (const std::exception& error) {
      outcome.status = BH_E_INTERNAL;
      outcome.message = error.what();
      outcome.lost = session_ == nullptr;
    }
    return outcome;
  }

  void connect_postgresql(const std::string& server) {
    auto opened = std::make_unique<soci::session>(soci::postgresql, server);
    {
      const std::lock_guard lock(connection_mutex_);
      session_ = std::move(opened);
    }
    PQsetNoticeProcessor(
        postgresql()->conn_, [](void*, const char*) {}, nullptr);  // they would go to standard error
    if (statements_.pooled()) return;
    if (meets_pooler()) {
      *settings_.pooler_met = true;
      statements_.behind_pooler(settings_.statement_timeout_ms);
      return;
    }
    const Outcome set = script(timeouts(""));
    if (set.status == BH_OK) return;
    disconnect();
    throw soci::soci_error(set.message);
  }

  // Whether a pooler took the connection: it makes up the process id that it announces, while
  // the server tells its own.
  bool meets_pooler() const {
    PGconn* connection = postgresql()->conn_;
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection, "select pg_backend_pid()"), PQclear);
    return PQresultStatus(result.get()) == PGRES_TUPLES_OK && PQntuples(result.get()) == 1 &&
           std::to_string(PQbackendPID(connection)) != PQgetvalue(result.get(), 0, 0);
  }

  void connect_sqlite() {
    const std::filesystem::path folder = std::filesystem::path(settings_.url.path).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder);
    static std::mutex one_at_a_time;  // two that turn WAL on together find each other's lock
    const std::lock_guard turn(one_at_a_time);
    auto opened = std::make_unique<soci::session>(soci::sqlite3, "dbname=\"" + settings_.url.path + "\"");
    {
      const std::lock_guard lock(connection_mutex_);
      session_ = std::move(opened);
    }
    sqlite3* db = sqlite();
    sqlite3_busy_timeout(db, static_cast<int>(settings_.statement_timeout_ms));
    for (const char* pragma : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"})
      if (sqlite3_exec(db, pragma, nullptr, nullptr, nullptr) != SQLITE_OK) {
        const std::string why = sqlite3_errmsg(db);
        disconnect();
        throw soci::soci_error(settings_.url.path + ": " + why);
      }
    // SQLite has no statement timeout: the handler is asked every few thousand steps.
    sqlite3_progress_handler(
        db, 4096,
        [](void* self) { return std::chrono::steady_clock::now() > static_cast<Impl*>(self)->deadline_ ? 1 : 0; },
        this);
  }

  std::string timeouts(const std::string& local) const {
    const uint64_t ms = settings_.statement_timeout_ms;
    return "set " + local + "statement_timeout = " + std::to_string(ms) + "; set " + local +
           "idle_in_transaction_session_timeout = " + std::to_string(ms * 2);
  }

  void arm_deadline() {
    deadline_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(settings_.statement_timeout_ms);
  }

  soci::postgresql_session_backend* postgresql() const {
    if (settings_.url.dialect != Dialect::kPostgresql || !session_) return nullptr;
    return static_cast<soci::postgresql_session_backend*>(session_->get_backend());
  }
  sqlite3* sqlite() const {
    return reinterpret_cast<sqlite3*>(static_cast<soci::sqlite3_session_backend*>(session_->get_backend())->conn_);
  }

  const SessionSettings& settings_;
  static constexpr std::chrono::steady_clock::time_point kNobody{};
  struct Answered {
    void operator()(std::atomic<std::chrono::steady_clock::time_point>* asked) const { *asked = kNobody; }
  };
  std::atomic<std::chrono::steady_clock::time_point> asked_{kNobody};  // when what runs was handed to the server
  std::atomic<bool> for_ever_{false};
  std::mutex connection_mutex_;  // opening and closing of session_, against interrupt()
  std::unique_ptr<soci::session> session_;
  PgStatements statements_;
  size_t executed_ = 0;  // statements of the transaction
  MultiRowTexts multi_row_texts_;
  // What follows is SQLite's.
  SqliteStatements sqlite_statements_;
  std::chrono::steady_clock::time_point deadline_;
};

Session::Session(const SessionSettings& settings) : impl_(std::make_unique<Impl>(settings)) {}
Session::~Session() = default;

Outcome Session::connect() { return impl_->connect(); }
void Session::disconnect() { impl_->disconnect(); }
bool Session::connected() const { return impl_->connected(); }
Outcome Session::execute(const bh_sql_query& query) { return impl_->execute(query); }
Outcome Session::execute_together(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes) {
  return impl_->execute_together(queries, outcomes);
}
Outcome Session::script(std::string_view sql) { return impl_->script(sql); }
Outcome Session::begin(bool read_only) { return impl_->begin(read_only); }
Outcome Session::commit() { return impl_->commit(); }
void Session::rollback() { impl_->rollback(); }
bool Session::alive() { return impl_->alive(); }
std::function<void()> Session::cancel_request() { return impl_->cancel_request(); }
void Session::interrupt() { impl_->interrupt(); }
void Session::interrupt_hung(std::chrono::steady_clock::time_point asked_before) {
  impl_->interrupt_hung(asked_before);
}
void Session::wait_for_ever(bool on) { impl_->wait_for_ever(on); }

}  // namespace database
