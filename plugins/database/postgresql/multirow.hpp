// Single-row inserts of the same text as one statement with several rows.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bulkhead/services/sql.h"

namespace database {

// "insert into … values (:a, :b)" in two parts, where nothing follows the row and the row holds
// placeholders only: then each row changes exactly one row, or the statement fails.
struct MultiRow {
  std::string_view head;  // up to the row
  std::string_view row;   // with its parentheses

  static std::optional<MultiRow> of(std::string_view sql);
  std::string text(size_t rows) const;
};

// Texts by rows, made once; of one session.
class MultiRowTexts {
 public:
  // The text of a statement with so many rows, a power of two; nullptr where it cannot have more
  // than one.
  const std::string* find(std::string_view sql, size_t rows);
  // Between batches: forgets them when there are too many.
  void trim() {
    if (texts_.size() > kMost) texts_.clear();
  }

 private:
  static constexpr size_t kSizes = 8, kMost = 50;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, std::array<std::string, kSizes>, Hash, std::equal_to<>> texts_;
};

// Queries of a batch, those with the same text as one with their rows; in order.
struct MergedQuery {
  bh_sql_query query{};
  std::vector<bh_value> values;  // of several rows
  size_t first = 0, count = 1;   // of the queries it was made of
};
std::vector<MergedQuery> merge(std::span<const bh_sql_query* const> queries, MultiRowTexts* texts);

}  // namespace database
