// Database URLs: postgresql://user:password@host:port/name?option=value and
// sqlite:///relative/path.db, sqlite:////absolute/path.db.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend.hpp"

namespace database {

using Keywords = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view kUrlForm =
    "write postgresql://USER:PASSWORD@HOST:PORT/NAME or sqlite:///PATH (four slashes for an absolute path)";

struct Url {
  const Backend* backend = nullptr;
  Keywords keywords;     // of a server: host, port, user, dbname, options; decoded, without the password
  std::string password;  // of a server
  std::string path;      // of a file
  std::string display;   // without the password, for messages
};

// Empty on success, else what is wrong and how to write it; never the password.
std::string parse_url(std::string_view text, Url* url);

}  // namespace database
