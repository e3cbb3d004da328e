#include "postgresql/pg_statements.hpp"

#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <utility>

#include "bulkhead/plugin.hpp"
#include "bulkhead/text/hex.hpp"
#include "outcome.hpp"

namespace database {

using bulkhead::to_view;

namespace {

using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;
constexpr size_t kNull = std::numeric_limits<size_t>::max();

constexpr uint64_t kFewRows = 256;
constexpr std::chrono::seconds kPlanAge{10};

std::string unique_prefix() { return "bh_" + bulkhead::random_hex_id() + "_"; }

// Of a command that changes rows: "INSERT 0 1", "UPDATE 3".
bool changes_rows(const PGresult* result) {
  const std::string_view tag = PQcmdStatus(const_cast<PGresult*>(result));
  return tag.starts_with("INSERT") || tag.starts_with("UPDATE") || tag.starts_with("DELETE") ||
         tag.starts_with("MERGE") || tag.starts_with("COPY");
}

Result checked(PGconn* connection, PGresult* raw) {
  Result result(raw, PQclear);
  const ExecStatusType status = PQresultStatus(raw);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) return result;
  const char* state = raw != nullptr ? PQresultErrorField(raw, PG_DIAG_SQLSTATE) : nullptr;
  const char* message = raw != nullptr ? PQresultErrorField(raw, PG_DIAG_MESSAGE_PRIMARY) : nullptr;
  throw soci::postgresql_soci_error(message != nullptr ? message : PQerrorMessage(connection),
                                    state != nullptr ? state : "08000");
}

bool name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

template <typename Number>
Number number(std::string_view text) {
  Number value{};
  const char* end = text.data() + text.size();
  if (const auto [at, error] = std::from_chars(text.data(), end, value); error != std::errc() || at != end)
    throw soci::soci_error("a column does not hold the kind of number that the query declares");
  return value;
}

int64_t integer(std::string_view text) { return text == "t" ? 1 : text == "f" ? 0 : number<int64_t>(text); }

double real(std::string_view text) {
  if (text == "NaN" || text == "Infinity" || text == "-Infinity") return std::strtod(text.data(), nullptr);
  return number<double>(text);
}

// Views the result.
bh_value cell(int32_t kind, const PGresult* result, int row, int column) {
  bh_value value{BH_NULL, 0, {0}};
  if (PQgetisnull(result, row, column) != 0) return value;
  const std::string_view text(PQgetvalue(result, row, column), static_cast<size_t>(PQgetlength(result, row, column)));
  value.kind = kind;
  switch (kind) {
    case BH_INT:
      value.as.i = integer(text);
      break;
    case BH_BOOL:
      value.as.i = integer(text) != 0 ? 1 : 0;
      break;
    case BH_REAL:
      value.as.r = real(text);
      break;
    default:
      value.as.s = bulkhead::to_str(text);
      break;
  }
  return value;
}

}  // namespace

std::string positional(std::string_view sql) {
  std::string out;
  out.reserve(sql.size());
  size_t count = 0;
  char quote = '\0';
  for (size_t i = 0; i < sql.size(); ++i) {
    const char c = sql[i];
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == ':' && i + 1 < sql.size() && sql[i + 1] == ':') {
      out += "::";
      ++i;
      continue;
    } else if (c == ':' && i + 1 < sql.size() && name_char(sql[i + 1])) {
      out += '$' + std::to_string(++count);
      while (i + 1 < sql.size() && name_char(sql[i + 1])) ++i;
      continue;
    }
    out += c;
  }
  return out;
}

PgStatements::PgStatements(uint32_t pooled_timeout_ms, std::shared_ptr<RowsWritten> written)
    : pooled_timeout_ms_(pooled_timeout_ms), written_(std::move(written)), prefix_(unique_prefix()) {}

void PgStatements::behind_pooler(uint32_t timeout_ms) {
  clear();  // what was prepared is on connections that are not ours
  pooled_timeout_ms_ = timeout_ms;
}

// By growth: when as many rows have been written since as before, so that a table that grows costs
// few plans, and each is made for at least half of what is there. By age: for what other hosts and
// programs write.
bool PgStatements::stale(const Entry& entry) const {
  if (pooled()) return false;
  const uint64_t rows = written_->load(std::memory_order_relaxed);
  if (rows >= 2 * entry.rows_written + kFewRows) return true;
  return std::chrono::steady_clock::now() - entry.prepared > kPlanAge;
}

const std::string& PgStatements::prepare(PGconn* connection, std::string_view sql) {
  if (const auto it = cached_.find(sql); it != cached_.end()) {
    if (!stale(it->second)) {
      recent_.splice(recent_.begin(), recent_, it->second.place);
      return it->second.name;
    }
    forget(sql);
  }
  const std::string name = pooled() ? positional(sql) : prefix_ + std::to_string(++count_);
  const uint64_t rows = written_->load(std::memory_order_relaxed);
  if (!pooled()) checked(connection, PQprepare(connection, name.c_str(), positional(sql).c_str(), 0, nullptr));
  if (cached_.size() >= kMaxStatements) forget(std::string(recent_.back()));
  recent_.emplace_front(sql);
  return cached_.emplace(sql, Entry{name, recent_.begin(), rows, std::chrono::steady_clock::now()}).first->second.name;
}

void PgStatements::forget(std::string_view sql) {
  const auto it = cached_.find(sql);
  if (it == cached_.end()) return;
  if (!pooled()) forgotten_.push_back(std::move(it->second.name));
  recent_.erase(it->second.place);
  cached_.erase(it);
}

void PgStatements::forget_all() {
  while (!recent_.empty()) forget(std::string(recent_.front()));
}

void PgStatements::clear() {
  cached_.clear();
  recent_.clear();
  forgotten_.clear();
}

void PgStatements::drop_forgotten(PGconn* connection) {
  while (!forgotten_.empty() && PQtransactionStatus(connection) == PQTRANS_IDLE) {
    checked(connection, PQexec(connection, ("deallocate " + forgotten_.back()).c_str()));
    forgotten_.pop_back();
  }
}

// libpq wants every text with a NUL behind it.
void PgStatements::bind(const bh_sql_query& query) {
  buffer_.clear();
  offsets_.clear();
  for (size_t i = 0; i < query.value_count; ++i) {
    const bh_value& value = query.values[i];
    char digits[32];
    char* end = digits;
    offsets_.push_back(value.kind == BH_NULL ? kNull : buffer_.size());
    switch (value.kind) {
      case BH_NULL:
        continue;
      case BH_BOOL:
        buffer_ += value.as.i != 0 ? '1' : '0';  // boolean columns take these, and numeric ones too
        break;
      case BH_INT:
        end = std::to_chars(digits, digits + sizeof digits, value.as.i).ptr;
        break;
      case BH_REAL:
        end = std::to_chars(digits, digits + sizeof digits, value.as.r).ptr;
        break;
      default:
        buffer_ += to_view(value.as.s);
        break;
    }
    buffer_.append(digits, static_cast<size_t>(end - digits));
    buffer_ += '\0';
  }
  values_.clear();
  for (const size_t offset : offsets_) values_.push_back(offset == kNull ? nullptr : buffer_.data() + offset);
}

bool PgStatements::send(PGconn* connection, const std::string& name, const bh_sql_query& query) {
  bind(query);
  const int count = static_cast<int>(values_.size());
  return (pooled() ? PQsendQueryParams(connection, name.c_str(), count, nullptr, values_.data(), nullptr, nullptr, 0)
                   : PQsendQueryPrepared(connection, name.c_str(), count, values_.data(), nullptr, nullptr, 0)) == 1;
}

void PgStatements::execute(PGconn* connection, const bh_sql_query& query, Outcome* outcome) {
  if (pooled() && PQtransactionStatus(connection) == PQTRANS_IDLE) {
    const bh_sql_query* const one = &query;
    if (const auto refusal = execute_together(connection, {&one, 1}, {outcome, 1}))
      throw soci::postgresql_soci_error(refusal->message, refusal->sqlstate.c_str());
    return;
  }
  drop_forgotten(connection);
  const std::string& name = prepare(connection, to_view(query.sql));
  bind(query);
  const int count = static_cast<int>(values_.size());
  const Result result = checked(
      connection, pooled() ? PQexecParams(connection, name.c_str(), count, nullptr, values_.data(), nullptr, nullptr, 0)
                           : PQexecPrepared(connection, name.c_str(), count, values_.data(), nullptr, nullptr, 0));
  give_rows(result.get(), query, outcome);
}

void PgStatements::give_rows(const PGresult* result, const bh_sql_query& query, Outcome* outcome) {
  const std::string_view affected = PQcmdTuples(const_cast<PGresult*>(result));
  outcome->affected = affected.empty() ? 0 : number<int64_t>(affected);
  if (outcome->affected > 0 && changes_rows(result))
    written_->fetch_add(static_cast<uint64_t>(outcome->affected), std::memory_order_relaxed);
  if (query.column_count == 0) return;
  if (static_cast<size_t>(PQnfields(result)) != query.column_count)
    throw soci::soci_error("the statement returns another number of columns than the query declares");
  const int rows = PQntuples(result);
  outcome->rows = static_cast<uint64_t>(rows);
  cells_.resize(query.column_count);
  for (int row = 0; row < rows && query.row != nullptr && outcome->status == BH_OK; ++row) {
    for (size_t i = 0; i < cells_.size(); ++i) cells_[i] = cell(query.columns[i], result, row, static_cast<int>(i));
    outcome->status = query.row(query.arg, cells_.data(), cells_.size());
  }
}

// libpq's pipeline mode: what stands before a sync is one implicit transaction, committed with it.
std::optional<PgStatements::Refusal> PgStatements::execute_together(PGconn* connection,
                                                                    std::span<const bh_sql_query* const> queries,
                                                                    std::span<Outcome> outcomes) {
  drop_forgotten(connection);
  std::vector<std::string> names;
  for (const bh_sql_query* query : queries) names.push_back(prepare(connection, to_view(query->sql)));

  const auto broken = [&] { return soci::postgresql_soci_error(PQerrorMessage(connection), "08000"); };
  if (PQenterPipelineMode(connection) != 1) throw broken();
  const std::string timeout = std::to_string(pooled_timeout_ms_);
  const char* const timeout_value = timeout.c_str();
  if (pooled() && PQsendQueryParams(connection, "select set_config('statement_timeout', $1, true)", 1, nullptr,
                                    &timeout_value, nullptr, nullptr, 0) != 1)
    throw broken();
  for (size_t i = 0; i < queries.size(); ++i)
    if (!send(connection, names[i], *queries[i])) throw broken();
  if (PQpipelineSync(connection) != 1) throw broken();

  const size_t before = pooled() ? 1 : 0;  // results of what is sent along
  std::vector<Result> results;
  std::optional<Refusal> refusal;
  for (bool synced = false; !synced;) {
    Result result(PQgetResult(connection), PQclear);
    if (PQstatus(connection) == CONNECTION_BAD) throw broken();
    if (!result) continue;  // stands between the results of two statements
    switch (PQresultStatus(result.get())) {
      case PGRES_PIPELINE_SYNC:
        synced = true;
        break;
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK:
      case PGRES_EMPTY_QUERY:
        results.push_back(std::move(result));
        break;
      case PGRES_PIPELINE_ABORTED:
        break;
      default: {
        // Only the server's word says that nothing was committed.
        const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
        const char* message = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
        if (state == nullptr) throw broken();
        refusal = Refusal{results.size() - std::min(before, results.size()), state, message != nullptr ? message : ""};
        break;
      }
    }
  }
  if (PQexitPipelineMode(connection) != 1) throw broken();
  if (refusal) return refusal;
  if (results.size() != queries.size() + before) throw broken();
  for (size_t i = 0; i < queries.size(); ++i) {
    try {
      give_rows(results[i + before].get(), *queries[i], &outcomes[i]);
    } catch (const std::exception& error) {  // committed all the same
      outcomes[i] = {BH_E_INTERNAL, false, 0, outcomes[i].rows, "", error.what()};
    }
  }
  return std::nullopt;
}

}  // namespace database
