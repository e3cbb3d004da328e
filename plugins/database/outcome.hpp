// Outcome: how a statement ended.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "bulkhead/services/sql.h"
#include "bulkhead/value.hpp"

namespace database {

struct Outcome {
  bh_status status = BH_OK;
  bool lost = false;  // the connection is gone; nothing of the session can be used
  int64_t affected = 0;
  uint64_t rows = 0;
  std::string sqlstate, message;  // message: first line of the database's own words, no values
};

// As the service's callers see it. Views `outcome`.
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

// A text value that holds NUL, which no database here stores.
inline bool has_nul(const bh_sql_query& query) {
  return std::any_of(query.values, query.values + query.value_count, [](const bh_value& value) {
    return value.kind == BH_TEXT && bulkhead::to_view(value.as.s).find('\0') != std::string_view::npos;
  });
}
inline Outcome holds_nul() {
  return {BH_E_INVALID, false, 0, 0, "", "a text value holds NUL, which the database cannot store"};
}

// What a database says on one line, its first; the others are advice.
inline std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

}  // namespace database
