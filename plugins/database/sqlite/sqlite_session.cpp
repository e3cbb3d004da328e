#include "sqlite/sqlite_session.hpp"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <string>

namespace database {

using namespace sqlite_api;

namespace {

bh_status classify(int result) {
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

SqliteSession::SqliteSession(const SessionSettings& settings) : settings_(settings) {}
SqliteSession::~SqliteSession() { disconnect(); }

sqlite3* SqliteSession::db() const {
  return reinterpret_cast<sqlite3*>(static_cast<soci::sqlite3_session_backend*>(session_->get_backend())->conn_);
}

template <typename Work>
Outcome SqliteSession::guarded(Work work) {
  Outcome outcome;
  const Asking asking(*this);
  try {
    work(outcome);
    return outcome;
  } catch (const soci::sqlite3_soci_error& error) {
    outcome.status = classify(error.result());
    outcome.message = first_line(error.get_error_message());
  } catch (const soci::soci_error& error) {
    outcome.status = session_ == nullptr ? BH_E_UNAVAILABLE : BH_E_INTERNAL;
    outcome.message = error.get_error_message();
    std::replace(outcome.message.begin(), outcome.message.end(), '\n', ' ');
  } catch (const std::exception& error) {
    outcome.status = BH_E_INTERNAL;
    outcome.message = error.what();
  }
  outcome.lost = session_ == nullptr;
  return outcome;
}

Outcome SqliteSession::connect() {
  disconnect();
  return guarded([this](Outcome&) { open(); });
}

void SqliteSession::open() {
  const std::filesystem::path folder = std::filesystem::path(settings_.url.path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder);
  static std::mutex one_at_a_time;  // two that turn WAL on together find each other's lock
  const std::lock_guard turn(one_at_a_time);
  auto opened = std::make_unique<soci::session>(soci::sqlite3, "dbname=\"" + settings_.url.path + "\"");
  {
    const std::lock_guard lock(mutex_);
    session_ = std::move(opened);
  }
  sqlite3_busy_timeout(db(), static_cast<int>(settings_.statement_timeout_ms));
  for (const char* pragma : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"})
    if (sqlite3_exec(db(), pragma, nullptr, nullptr, nullptr) != SQLITE_OK) {
      const std::string why = sqlite3_errmsg(db());
      disconnect();
      throw soci::soci_error(settings_.url.path + ": " + why);
    }
  // SQLite has no statement timeout: the handler is asked every few thousand steps.
  sqlite3_progress_handler(
      db(), 4096,
      [](void* self) {
        return std::chrono::steady_clock::now() > static_cast<SqliteSession*>(self)->deadline_ ? 1 : 0;
      },
      this);
}

void SqliteSession::disconnect() {
  const std::lock_guard lock(mutex_);
  statements_.clear();  // one that outlives its connection crashes (SOCI 4.0)
  session_.reset();
}

std::function<void()> SqliteSession::cancel_request() {
  interrupt();
  return {};
}

void SqliteSession::interrupt() {
  const std::lock_guard lock(mutex_);
  if (session_ != nullptr) sqlite3_interrupt(db());
}

void SqliteSession::arm_deadline() {
  deadline_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(settings_.statement_timeout_ms);
}

Outcome SqliteSession::execute(const bh_sql_query& query) {
  if (has_nul(query)) return holds_nul();
  Outcome result = guarded([&](Outcome& outcome) {
    arm_deadline();
    statements_.execute(*session_, query, &outcome);
  });
  if (result.status != BH_OK && !result.lost) statements_.forget_last();
  return result;
}

// A deferred transaction that writes late can fail with BUSY at any statement; an immediate one
// waits at BEGIN.
Outcome SqliteSession::begin(bool read_only) { return script(read_only ? "BEGIN" : "BEGIN IMMEDIATE"); }

Outcome SqliteSession::script(std::string_view sql) {
  return guarded([&](Outcome& outcome) {
    const std::string text(sql);
    arm_deadline();
    if (const int result = sqlite3_exec(db(), text.c_str(), nullptr, nullptr, nullptr); result != SQLITE_OK) {
      outcome.status = classify(result);
      outcome.message = sqlite3_errmsg(db());
    }
  });
}

// With a savepoint each.
Outcome SqliteSession::attempt_together(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes,
                                        std::vector<size_t>* alone) {
  Outcome all = begin(false);
  if (all.status != BH_OK) {
    std::fill(outcomes.begin(), outcomes.end(), all);
    return all.lost ? all : Outcome{};
  }
  const auto transaction_over = [this] { return sqlite3_get_autocommit(db()) != 0; };
  size_t culprit = queries.size();
  for (size_t i = 0; i < queries.size() && all.status == BH_OK; ++i) {
    all = script("savepoint bh");
    if (all.status != BH_OK) break;
    outcomes[i] = execute(*queries[i]);
    if (outcomes[i].status != BH_OK && transaction_over()) {  // it took the transaction along
      culprit = i;
      break;
    }
    all = script(outcomes[i].status == BH_OK ? "release bh" : "rollback to bh; release bh");
  }
  if (culprit == queries.size() && all.status == BH_OK) all = commit();
  if (culprit == queries.size() && all.status == BH_OK) return {};
  if (!transaction_over()) rollback();
  for (size_t i = 0; i < queries.size(); ++i) {
    if (i == culprit) continue;
    if (outcomes[i].rows == 0)
      alone->push_back(i);
    else  // its rows were given and are not true: they are not given again
      outcomes[i] = unavailable("the transaction was rolled back");
  }
  return {};
}

}  // namespace database
