// Request methods.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace bulkhead::exchange {

// GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE (RFC 9110 §9, RFC 5789). Others, CONNECT with
// them, are implemented for no resource.
constexpr bool known_method(std::string_view method) {
  constexpr std::array<std::string_view, 8> kMethods = {"GET",   "HEAD",   "POST",    "PUT",
                                                        "PATCH", "DELETE", "OPTIONS", "TRACE"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

// RFC 9110 §9.2.1, without TRACE, which no resource here implements.
constexpr bool safe_method(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

}  // namespace bulkhead::exchange
