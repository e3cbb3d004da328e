// PostgreSQL's URLs (libpq's documentation, "Connection URIs").
#pragma once

#include <string>
#include <string_view>

#include "url.hpp"

namespace database {

// What follows postgresql://. Empty on success, else what is wrong.
std::string parse_pg_url(std::string_view rest, Url* url);

// A libpq connection string. parse_pg_url has refused values that SOCI would cut up.
std::string connection_string(const Keywords& keywords);

}  // namespace database
