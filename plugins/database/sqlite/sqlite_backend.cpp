#include "sqlite/sqlite_backend.hpp"

#include <filesystem>

#include "bulkhead/services/sql.h"
#include "bulkhead/text/json_string.hpp"
#include "bulkhead/text/percent.hpp"
#include "sqlite/sqlite_session.hpp"
#include "url.hpp"

namespace database {

namespace {

std::string parse(std::string_view path, Url* url) {
  if (path.find('?') != std::string_view::npos)
    return "an SQLite URL takes no options; a '?' of the file's name is written %3F";
  if (!bulkhead::percent_decode(path, &url->path) || url->path.empty())
    return "the database URL has no path; " + std::string(kUrlForm);
  if (url->path == ":memory:") return "each session would have its own in-memory SQLite database; name a file";
  // People take three slashes for an absolute path: what is shown is the file itself.
  std::error_code unknown;
  const auto absolute = std::filesystem::absolute(url->path, unknown).lexically_normal();
  url->display = "sqlite:///" + (unknown ? url->path : absolute.string());
  return {};
}

std::unique_ptr<Session> make(const SessionSettings& settings) { return std::make_unique<SqliteSession>(settings); }

std::string condition(std::string_view /*key_type*/) { return " in (select value from json_each(:keys))"; }

std::string list(std::span<const std::string_view> keys, bool quoted) {
  std::string text(1, '[');
  for (const std::string_view key : keys) {
    if (text.size() > 1) text += ',';
    if (quoted)
      bulkhead::append_json_string(key, &text);
    else
      text += key;
  }
  return text += ']';
}

std::vector<std::string_view> no_lock() { return {}; }  // BEGIN IMMEDIATE is one

}  // namespace

constexpr Backend kSqlite = {
    .dialect = BH_SQL_SQLITE,
    .system = "sqlite",
    .schemes = "sqlite:///",
    .parse_url = parse,
    .make_session = make,
    .server = false,
    .one_writer = true,
    .any_writes_together = true,
    .usual_min = 2,
    .usual_max = 4,
    .keys_condition = condition,
    .keys_list = list,
    .migration_lock = no_lock,
};

}  // namespace database
