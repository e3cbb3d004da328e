// An outcome as the service's callers see it.
#pragma once

#include <string>
#include <utility>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.h"
#include "session.hpp"

namespace database {

// Views `outcome`.
inline bh_sql_result result_of(const Outcome& outcome) {
  bh_sql_result result = bulkhead::sized<bh_sql_result>();
  result.status = outcome.status;
  result.affected = outcome.affected;
  result.rows = outcome.rows;
  result.sqlstate = bulkhead::to_str(outcome.sqlstate);
  result.message = bulkhead::to_str(outcome.message);
  return result;
}

// Nothing ran: the caller may try again.
inline Outcome unavailable(std::string why) { return {BH_E_UNAVAILABLE, false, 0, 0, "", std::move(why)}; }

// Nothing ran: the caller left.
inline Outcome caller_left() { return {BH_E_GONE, false, 0, 0, "", "the caller left"}; }

}  // namespace database
