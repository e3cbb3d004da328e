// The query string of GET /people: filters, order, limit, offset and cursor, made into SQL.
//
// Names come from kFields, values are bound: nothing of a request becomes SQL text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/services/sql.hpp"
#include "cursor.hpp"
#include "record.hpp"

namespace people {

struct Filter {
  const Field* field;
  bh_value value;  // views `text` where it is one
  std::string text;
};

struct ListQuery {
  static constexpr int64_t kDefaultLimit = 100, kMaxLimit = 1000;

  std::vector<Filter> filters;
  std::vector<OrderTerm> order;
  int64_t limit = kDefaultLimit, offset = 0;
  std::optional<Cursor> after;

  // Throws bulkhead::Problem 400 naming the parameter and what it takes.
  static ListQuery parse(std::string_view query);
  // The statement and, through `values`, what is bound to it. `values` view this query.
  // Its columns are the record's that are shown, then what a cursor is made from.
  std::string sql(int32_t dialect, std::vector<bh_value>* values) const;
  std::vector<int32_t> columns() const;
  // The cursor behind a row of these cells.
  std::string cursor_behind(std::span<const bh_value> cells) const;
  // The target of the next page: the same query, from the cursor on.
  static std::string next(std::string_view path, std::string_view query, std::string_view cursor);
};

}  // namespace people
