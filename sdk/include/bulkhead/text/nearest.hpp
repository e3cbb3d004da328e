// bulkhead/text/nearest.hpp - "did you mean": the known name nearest to a misspelt one.
#ifndef BULKHEAD_TEXT_NEAREST_HPP
#define BULKHEAD_TEXT_NEAREST_HPP

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

// By edit distance (Levenshtein), case ignored; "" where none is near enough to be meant.
template <typename Names>
std::string nearest(std::string_view name, const Names& candidates) {
  auto fold = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  std::string best;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    std::vector<size_t> row(candidate.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= name.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j < row.size(); ++j) {
        const size_t change = diagonal + (fold(name[i - 1]) == fold(candidate[j - 1]) ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_NEAREST_HPP
