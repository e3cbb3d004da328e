// bulkhead/text/scopes.hpp - lists of scopes: words separated by spaces (RFC 6749 §3.3).
#ifndef BULKHEAD_TEXT_SCOPES_HPP
#define BULKHEAD_TEXT_SCOPES_HPP

#include <string_view>

namespace bulkhead {

constexpr bool has_scope(std::string_view scopes, std::string_view wanted) {
  while (!scopes.empty()) {
    const size_t space = scopes.find(' ');
    if (scopes.substr(0, space) == wanted) return true;
    scopes.remove_prefix(space == std::string_view::npos ? scopes.size() : space + 1);
  }
  return false;
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_SCOPES_HPP
