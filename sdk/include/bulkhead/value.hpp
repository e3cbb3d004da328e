// bulkhead/value.hpp - the contract's plain values in C++: views, errors, structs with their size.
#ifndef BULKHEAD_VALUE_HPP
#define BULKHEAD_VALUE_HPP

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "bulkhead/plugin.h"

namespace bulkhead {

inline std::string_view to_view(bh_str s) {
  return s.ptr == nullptr ? std::string_view() : std::string_view(s.ptr, s.len);
}
constexpr bh_str to_str(std::string_view s) { return {s.data() == nullptr ? "" : s.data(), s.size()}; }
constexpr bh_pair to_pair(std::string_view name, std::string_view value) { return {to_str(name), to_str(value)}; }

// A struct of the contract, zeroed, with its size set.
template <typename Struct>
constexpr Struct sized() {
  Struct made{};
  made.size = sizeof made;
  return made;
}

inline bh_status set_error(bh_error* err, bh_status code, std::string_view message) noexcept {
  if (err == nullptr || !BH_HAS(err, message)) return code;
  const size_t n = std::min(message.size(), sizeof err->message - 1);
  std::memcpy(err->message, message.data(), n);
  err->message[n] = '\0';
  err->code = code;
  return code;
}

// An error code of the contract, thrown by wrappers of host calls.
class Failure : public std::exception {
 public:
  Failure(bh_status status, std::string text) : code(status), message(std::move(text)) {}
  const char* what() const noexcept override { return message.c_str(); }

  bh_status code;
  std::string message;
};

}  // namespace bulkhead

#endif  // BULKHEAD_VALUE_HPP
