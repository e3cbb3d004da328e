// Conversions between the contract's bh_str and std::string_view.
#pragma once

#include <string_view>

#include "bulkhead/plugin.h"

namespace bulkhead {

inline std::string_view view(bh_str s) {
  return s.ptr == nullptr ? std::string_view() : std::string_view(s.ptr, s.len);
}
inline bh_str str(std::string_view s) { return {s.data() == nullptr ? "" : s.data(), s.size()}; }

inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

inline bool iequals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

}  // namespace bulkhead
