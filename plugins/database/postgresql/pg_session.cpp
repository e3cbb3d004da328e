#include "postgresql/pg_session.hpp"

#include <poll.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "postgresql/conninfo.hpp"

namespace database {

using bulkhead::to_view;

namespace {

// What a failed connect says stands on several lines; the password is in none of them.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  text.resize(text.find_last_not_of(' ') + 1);
  return text;
}

// By SQLSTATE (PostgreSQL's manual, appendix A).
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

// Whether nothing more can be asked of the connection.
bool ends_connection(std::string_view sqlstate) {
  // 08P01 is a statement with another number of values than it has places for; 25006 comes from a
  // standby: another server takes writes now.
  return (sqlstate.starts_with("08") && sqlstate != "08P01") || sqlstate.starts_with("57P") || sqlstate == "25006";
}

}  // namespace

PgSession::PgSession(const SessionSettings& settings)
    : settings_(settings), statements_(settings.pooled ? settings.statement_timeout_ms : 0, settings.rows_written) {}
PgSession::~PgSession() { disconnect(); }

PGconn* PgSession::connection() const {
  return static_cast<soci::postgresql_session_backend*>(session_->get_backend())->conn_;
}

template <typename Work>
Outcome PgSession::guarded(Work work) {
  Outcome outcome;
  const Asking asking(*this);
  try {
    work(outcome);
    return outcome;
  } catch (const soci::postgresql_soci_error& error) {
    outcome.sqlstate = error.sqlstate();
    outcome.status = classify(outcome.sqlstate);
    outcome.lost = session_ == nullptr || PQstatus(connection()) == CONNECTION_BAD || ends_connection(outcome.sqlstate);
    outcome.message = session_ == nullptr ? one_line(error.get_error_message()) : first_line(error.get_error_message());
    if (outcome.lost) outcome.status = BH_E_UNAVAILABLE;
  } catch (const soci::soci_error& error) {
    outcome.lost = session_ == nullptr;
    outcome.status = outcome.lost ? BH_E_UNAVAILABLE : BH_E_INTERNAL;
    outcome.message = one_line(error.get_error_message());
  } catch (const std::exception& error) {
    outcome.lost = session_ == nullptr;
    outcome.status = BH_E_INTERNAL;
    outcome.message = error.what();
  }
  return outcome;
}

// ------------------------------------------------------------------- connection

Outcome PgSession::connect() {
  disconnect();
  Conninfo server;
  Outcome outcome = guarded([&](Outcome&) {
    server = conninfo(settings_);
    if (server.text.empty()) throw soci::soci_error(std::exchange(server.unknown, {}));
    open(server.text);
  });
  if (outcome.status != BH_OK && !server.unknown.empty()) outcome.message += "; " + server.unknown;
  return outcome;
}

void PgSession::open(const std::string& conninfo) {
  auto opened = std::make_unique<soci::session>(soci::postgresql, conninfo);
  {
    const std::lock_guard lock(mutex_);
    session_ = std::move(opened);
  }
  PQsetNoticeProcessor(
      connection(), [](void*, const char*) {}, nullptr);  // they would go to standard error
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

// Whether a pooler took the connection: it makes up the process id that it announces, while the
// server tells its own.
bool PgSession::meets_pooler() const {
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection(), "select pg_backend_pid()"), PQclear);
  return PQresultStatus(result.get()) == PGRES_TUPLES_OK && PQntuples(result.get()) == 1 &&
         std::to_string(PQbackendPID(connection())) != PQgetvalue(result.get(), 0, 0);
}

std::string PgSession::timeouts(const std::string& local) const {
  const uint64_t ms = settings_.statement_timeout_ms;
  return "set " + local + "statement_timeout = " + std::to_string(ms) + "; set " + local +
         "idle_in_transaction_session_timeout = " + std::to_string(ms * 2);
}

void PgSession::disconnect() {
  const std::lock_guard lock(mutex_);
  statements_.clear();
  session_.reset();
}

bool PgSession::alive() {
  if (session_ == nullptr) return false;
  pollfd socket{PQsocket(connection()), POLLIN, 0};
  if (::poll(&socket, 1, 0) == 0) return true;
  return PQconsumeInput(connection()) == 1 && PQstatus(connection()) == CONNECTION_OK;
}

void PgSession::interrupt() {
  const std::lock_guard lock(mutex_);
  if (session_ != nullptr) ::shutdown(PQsocket(connection()), SHUT_RDWR);
}

std::function<void()> PgSession::cancel_request() {
  const std::lock_guard lock(mutex_);
  if (session_ == nullptr) return {};
  const std::shared_ptr<PGcancel> request(PQgetCancel(connection()), PQfreeCancel);
  if (!request) return {};
  return [request] {
    char why[256];
    PQcancel(request.get(), why, sizeof why);  // where that fails the statement runs to its timeout
  };
}

// ------------------------------------------------------------------- statements

Outcome PgSession::execute(const bh_sql_query& query) {
  if (has_nul(query)) return holds_nul();
  Outcome result = attempt(query);
  if (result.status != BH_OK && result.rows == 0 && prepare_anew(result.sqlstate)) result = attempt(query);
  ++executed_;
  return result;
}

Outcome PgSession::attempt(const bh_sql_query& query) {
  if (!statements_.pooled() && *settings_.pooler_met) statements_.behind_pooler(settings_.statement_timeout_ms);
  Outcome result = guarded([&](Outcome& outcome) { statements_.execute(connection(), query, &outcome); });
  if (result.status != BH_OK && !result.lost) statements_.forget(to_view(query.sql));
  return result;
}

bool PgSession::prepare_anew(std::string_view sqlstate) {
  const bool pooler = sqlstate == "26000" || sqlstate == "42P05";
  if ((sqlstate != "0A000" && !pooler) || session_ == nullptr || statements_.pooled()) return false;
  const bool transaction = PQtransactionStatus(connection()) != PQTRANS_IDLE;
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

Outcome PgSession::begin(bool /*read_only*/) {
  Outcome begun = script(statements_.pooled() ? "BEGIN; " + timeouts("local ") : "BEGIN");
  executed_ = 0;
  return begun;
}

// The server answers COMMIT of a failed transaction with success and a rollback.
Outcome PgSession::commit() {
  if (session_ == nullptr || PQtransactionStatus(connection()) != PQTRANS_INERROR) return script("COMMIT");
  rollback();
  return {BH_E_CONFLICT, false, 0, 0, "25P02", "a statement of the transaction had failed"};
}

Outcome PgSession::script(std::string_view sql) {
  ++executed_;
  return guarded([&](Outcome&) {
    if (session_ == nullptr) throw soci::soci_error("not connected");
    const std::string text(sql);
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection(), text.c_str()), PQclear);
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) return;
    const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    throw soci::postgresql_soci_error(PQerrorMessage(connection()), state != nullptr ? state : "08000");
  });
}

Outcome PgSession::attempt_together(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes,
                                    std::vector<size_t>* alone) {
  static constexpr int kRefusals = 3;  // then each for itself
  std::vector<size_t> rest;
  for (size_t i = 0; i < queries.size(); ++i) (has_nul(*queries[i]) ? *alone : rest).push_back(i);
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
    Outcome all = guarded([&](Outcome&) { refusal = statements_.execute_together(connection(), chosen, results); });
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

}  // namespace database
