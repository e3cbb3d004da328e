// The query string of GET /people: filters, order, limit and offset, made into SQL.
//
// Names come from kFields, values are bound: nothing of a request becomes SQL text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/services/sql.hpp"
#include "record.hpp"

namespace people {

struct Filter {
  const Field* field;
  bh_value value;  // views `text` where it is one
  std::string text;
};

struct OrderTerm {
  const Field* field;
  bool descending = false, nulls_first = false;
};

struct ListQuery {
  static constexpr int64_t kDefaultLimit = 100, kMaxLimit = 1000;

  std::vector<Filter> filters;
  std::vector<OrderTerm> order;
  int64_t limit = kDefaultLimit, offset = 0;

  // Throws bulkhead::Problem 400 naming the parameter and what it takes.
  static ListQuery parse(std::string_view query);
  // The statement and, through `values`, what is bound to it. `values` view this query.
  std::string sql(int32_t dialect, std::vector<bh_value>* values) const;
  // The target of the next page: the same query, offset moved on.
  std::string next(std::string_view path, std::string_view query) const;
};

}  // namespace people
