#include "postgresql/multirow.hpp"

#include <algorithm>
#include <bit>

#include "bulkhead/plugin.hpp"

namespace database {

namespace {

// Up to the end, or nothing: "(:name, :name)", with spaces where they like.
bool only_placeholders(std::string_view row) {
  if (!row.starts_with('(') || !row.ends_with(')')) return false;
  bool wants_name = true;
  for (size_t i = 1; i + 1 < row.size(); ++i) {
    const char c = row[i];
    if (c == ' ' || c == '\n') continue;
    if (c == ',' && !wants_name) {
      wants_name = true;
      continue;
    }
    if (c != ':' || !wants_name) return false;
    const size_t end = std::min(
        row.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", i + 1), row.size());
    if (end == i + 1) return false;
    i = end - 1;
    wants_name = false;
  }
  return !wants_name;
}

}  // namespace

std::optional<MultiRow> MultiRow::of(std::string_view sql) {
  static constexpr std::string_view kInsert = "insert into ", kValues = " values ";
  if (!sql.starts_with(kInsert)) return std::nullopt;
  const size_t at = sql.find(kValues);
  if (at == std::string_view::npos) return std::nullopt;
  const MultiRow parts{sql.substr(0, at + kValues.size()), sql.substr(at + kValues.size())};
  const bool plain = parts.head.find_first_of("'\":") == std::string_view::npos;  // no text that only looks like it
  return plain && only_placeholders(parts.row) ? std::optional(parts) : std::nullopt;
}

std::string MultiRow::text(size_t rows) const {
  std::string out(head);
  for (size_t i = 0; i < rows; ++i) (out += i == 0 ? "" : ", ") += row;
  return out;
}

const std::string* MultiRowTexts::find(std::string_view sql, size_t rows) {
  const auto size = static_cast<size_t>(std::countr_zero(rows));
  if (!std::has_single_bit(rows) || size >= kSizes) return nullptr;
  auto it = texts_.find(sql);
  if (it == texts_.end()) {
    it = texts_.emplace(sql, std::array<std::string, kSizes>()).first;
    if (const auto parts = MultiRow::of(sql))
      for (size_t i = 0; i < kSizes; ++i) it->second[i] = parts->text(size_t{1} << i);
  }
  return it->second[size].empty() ? nullptr : &it->second[size];
}

std::vector<MergedQuery> merge(std::span<const bh_sql_query* const> queries, MultiRowTexts* texts) {
  static constexpr size_t kMostValues = 4096;
  texts->trim();
  std::vector<MergedQuery> merged;
  for (size_t i = 0; i < queries.size();) {
    const bh_sql_query& first = *queries[i];
    const std::string_view sql = bulkhead::to_view(first.sql);
    size_t same = 1;
    while (i + same < queries.size() && bulkhead::to_view(queries[i + same]->sql) == sql &&
           queries[i + same]->value_count == first.value_count && queries[i + same]->column_count == 0 &&
           first.column_count == 0)
      ++same;
    MergedQuery& one = merged.emplace_back();
    one.query = first;
    one.first = i;
    const std::string* text = nullptr;
    size_t rows = std::bit_floor(std::min(same, kMostValues / std::max<size_t>(first.value_count, 1)));
    while (rows > 1 && (text = texts->find(sql, rows)) == nullptr) rows /= 2;
    if (text != nullptr) {
      one.count = rows;
      one.values.reserve(rows * first.value_count);
      for (size_t row = i; row < i + rows; ++row)
        one.values.insert(one.values.end(), queries[row]->values, queries[row]->values + first.value_count);
      one.query.sql = bulkhead::to_str(*text);
      one.query.values = one.values.data();
      one.query.value_count = one.values.size();
    }
    i += one.count;
  }
  return merged;
}

}  // namespace database
