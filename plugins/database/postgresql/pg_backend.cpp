#include "postgresql/pg_backend.hpp"

#include "bulkhead/services/sql.h"
#include "postgresql/pg_session.hpp"
#include "postgresql/pg_url.hpp"

namespace database {

namespace {

std::unique_ptr<Session> make(const SessionSettings& settings) { return std::make_unique<PgSession>(settings); }

std::string condition(std::string_view key_type) { return " = any(cast(:keys as " + std::string(key_type) + "[]))"; }

// An array literal (PostgreSQL's manual, §8.15.2).
std::string list(std::span<const std::string_view> keys, bool quoted) {
  std::string text(1, '{');
  for (const std::string_view key : keys) {
    if (text.size() > 1) text += ',';
    if (!quoted) {
      text += key;
      continue;
    }
    text += '"';
    for (const char c : key) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text += '}';
}

std::vector<std::string_view> lock() {
  return {// Any number will do as long as all hosts use the same one: "bulkhead" in ASCII.
          "select pg_advisory_xact_lock(7094420983183698276)",
          // Only the wait for the lock is bounded: a long migration is not begun again and again.
          "set local statement_timeout = 0"};
}

}  // namespace

constexpr Backend kPostgresql = {
    .dialect = BH_SQL_POSTGRESQL,
    .system = "postgresql",
    .schemes = "postgresql:// postgres://",
    .parse_url = parse_pg_url,
    .make_session = make,
    .server = true,
    .one_writer = false,
    .any_writes_together = false,
    .usual_min = 10,
    .usual_max = 20,
    .keys_condition = condition,
    .keys_list = list,
    .migration_lock = lock,
};

}  // namespace database
