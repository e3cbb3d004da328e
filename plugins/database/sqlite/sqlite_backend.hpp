// SQLite: a file, through SOCI.
#pragma once

#include "backend.hpp"

namespace database {

extern const Backend kSqlite;

}  // namespace database
