// PostgreSQL: a server, through SOCI's connection and libpq's statements.
#pragma once

#include "backend.hpp"

namespace database {

extern const Backend kPostgresql;

}  // namespace database
