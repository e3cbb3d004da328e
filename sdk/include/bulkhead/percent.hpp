// bulkhead/percent.hpp - percent-encoding (RFC 3986 §2.1).
#ifndef BULKHEAD_PERCENT_HPP
#define BULKHEAD_PERCENT_HPP

#include <string>
#include <string_view>

namespace bulkhead {

// False where a '%' is not followed by two hexadecimal digits, or hides a NUL.
inline bool percent_decode(std::string_view text, std::string* out) {
  const auto hex = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      *out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return false;
    *out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
    if (out->back() == '\0') return false;
    i += 2;
  }
  return true;
}

// What a request's target holds, fit for a header: bytes that neither RFC 3986 §3.4 allows in a
// query nor a '%' may stand for themselves are encoded. What is encoded already stays as it is.
inline std::string percent_encode_target(std::string_view text) {
  static constexpr std::string_view kPlain = "-._~!$&'()*+,;=:@/?%", kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       kPlain.find(c) != std::string_view::npos;
    if (plain)
      out += c;
    else
      out.append("%").append(1, kDigits[static_cast<unsigned char>(c) >> 4]).append(1, kDigits[c & 15]);
  }
  return out;
}

}  // namespace bulkhead

#endif  // BULKHEAD_PERCENT_HPP
