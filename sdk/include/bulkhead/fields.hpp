// bulkhead/fields.hpp - reading the values of HTTP fields (RFC 9110).
#ifndef BULKHEAD_FIELDS_HPP
#define BULKHEAD_FIELDS_HPP

#include <algorithm>
#include <string>
#include <string_view>

namespace bulkhead {

// Without the optional white space around it (§5.6.3).
constexpr std::string_view trim_ows(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Names and tokens that are compared without regard to case: ASCII letters only, whatever the locale.
inline std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// Whether a value like `"1", W/"2"` or `*` names the tag, which is a strong one. Weak tags match only where
// `weak` is set: If-None-Match compares weakly, If-Match strongly (§13.1).
inline bool etag_matches(std::string_view list, std::string_view tag, bool weak) {
  if (trim_ows(list) == "*") return true;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view item = trim_ows(list.substr(0, comma));
    if (weak && item.starts_with("W/")) item.remove_prefix(2);
    if (item == tag) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace bulkhead

#endif  // BULKHEAD_FIELDS_HPP
