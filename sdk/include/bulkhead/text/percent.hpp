// bulkhead/text/percent.hpp - percent-encoding (RFC 3986 §2.1).
#ifndef BULKHEAD_TEXT_PERCENT_HPP
#define BULKHEAD_TEXT_PERCENT_HPP

#include <string>
#include <string_view>

#include "bulkhead/text/ascii.hpp"
#include "bulkhead/text/hex.hpp"

namespace bulkhead {

// False where a '%' is not followed by two hexadecimal digits, or hides a NUL.
constexpr bool valid_percent(std::string_view text) {
  for (size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 3)) {
    if (i + 2 >= text.size() || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) return false;
    if (text[i + 1] == '0' && text[i + 2] == '0') return false;
  }
  return true;
}

// Decodes text that is valid into `out`, which has room for text.size() bytes and may be the text
// itself; how many were written.
constexpr size_t percent_decode(std::string_view text, char* out) {
  size_t n = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out[n++] = static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out[n++] = text[i];
    }
  }
  return n;
}

// False where the text is not valid.
inline bool percent_decode(std::string_view text, std::string* out) {
  if (!valid_percent(text)) return false;
  out->resize(text.size());
  out->resize(percent_decode(text, out->data()));
  return true;
}

// What a request's target holds, fit for a header: bytes that neither RFC 3986 §3.4 allows in a
// query nor a '%' may stand for themselves are encoded. What is encoded already stays as it is.
inline std::string percent_encode_target(std::string_view text) {
  static constexpr std::string_view kPlain = "-._~!$&'()*+,;=:@/?%", kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_alnum(c) || kPlain.find(c) != std::string_view::npos)
      out += c;
    else
      out.append("%").append(1, kDigits[static_cast<unsigned char>(c) >> 4]).append(1, kDigits[c & 15]);
  }
  return out;
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_PERCENT_HPP
