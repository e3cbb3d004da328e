// Cursor: where the next page of a list begins, by the values of its last row (keyset pagination).
// A page costs the same wherever it is, and rows that come meanwhile shift nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/services/sql.hpp"
#include "record.hpp"

namespace people {

struct OrderTerm {
  const Field* field;
  bool descending = false, nulls_first = false;
  bool operator==(const OrderTerm&) const = default;
};

// Values of the order's fields in the last row seen, and its id, which settles ties.
class Cursor {
 public:
  // From the row's cells: one for each term, then the id.
  static std::string encode(const std::vector<OrderTerm>& order, std::span<const bh_value> cells);
  // Throws Problem 400 where it is not a cursor of this order.
  static Cursor decode(std::string_view text, const std::vector<OrderTerm>& order);

  // The condition that a row comes after; the values it binds are appended and view this cursor.
  std::string condition(const std::vector<OrderTerm>& order, int32_t dialect, std::vector<bh_value>* values) const;

 private:
  struct Value {
    int32_t kind = BH_NULL;
    int64_t integer = 0;
    double real = 0;
    std::string text;
    bh_value bound() const;
  };
  std::vector<Value> values_;  // one for each term, then the id
};

// The column as lists compare it: text byte by byte, as SQLite does.
std::string ordered_column(const Field& field, int32_t dialect);

}  // namespace people
