// bulkhead/text/ascii.hpp - letters, tokens and printable text, whatever the locale.
#ifndef BULKHEAD_TEXT_ASCII_HPP
#define BULKHEAD_TEXT_ASCII_HPP

#include <algorithm>
#include <string>
#include <string_view>

namespace bulkhead {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

inline std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

// Equal without regard to case.
constexpr bool iequals(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

constexpr bool is_alnum(char c) { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z'); }
constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// A character of a token (RFC 9110 §5.6.2).
constexpr bool is_tchar(char c) {
  return is_alnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
constexpr bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_tchar);
}

// Appends text for a terminal, which would obey control characters: they become spaces.
inline void append_printable(std::string_view text, std::string* out) {
  for (const char c : text) *out += is_control(c) ? ' ' : c;
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_ASCII_HPP
