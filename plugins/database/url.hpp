// Database URLs: postgresql://user:password@host:port/name?option=value and
// sqlite:///relative/path.db, sqlite:////absolute/path.db.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace database {

using Keywords = std::vector<std::pair<std::string, std::string>>;

enum class Dialect : uint8_t { kPostgresql, kSqlite };

struct Url {
  Dialect dialect = Dialect::kSqlite;
  // PostgreSQL: libpq keywords (host, port, user, dbname, sslmode, ...), decoded, without the
  // password.
  Keywords keywords;
  std::string password;
  std::string path;     // SQLite
  std::string display;  // without the password, for messages
};

// Empty on success, else what is wrong and how to write it; never the password.
std::string parse_url(std::string_view text, Url* url);

// A libpq connection string. parse_url has refused values that SOCI would cut up.
std::string connection_string(const Keywords& keywords);

}  // namespace database
