// bulkhead/text/glob.hpp - patterns with * for any text, as hooks and grants have them.
#ifndef BULKHEAD_TEXT_GLOB_HPP
#define BULKHEAD_TEXT_GLOB_HPP

#include <string_view>

namespace bulkhead {

// An empty pattern matches everything.
constexpr bool glob_match(std::string_view glob, std::string_view text) {
  if (glob.empty()) return true;
  size_t g = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      mark = t;
    } else if (g < glob.size() && glob[g] == text[t]) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_GLOB_HPP
