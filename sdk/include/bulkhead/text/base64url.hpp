// bulkhead/text/base64url.hpp - bytes as URLs, tokens and cursors carry them: base64url without
// padding (RFC 4648 §5).
#ifndef BULKHEAD_TEXT_BASE64URL_HPP
#define BULKHEAD_TEXT_BASE64URL_HPP

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead {

namespace detail {

inline constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

inline constexpr std::array<int8_t, 256> kBase64UrlDigits = [] {
  std::array<int8_t, 256> digits{};
  digits.fill(-1);
  for (size_t i = 0; i < kBase64Url.size(); ++i)
    digits[static_cast<unsigned char>(kBase64Url[i])] = static_cast<int8_t>(i);
  return digits;
}();

}  // namespace detail

inline std::string to_base64url(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() * 4 + 2) / 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) out += detail::kBase64Url[(bits >> (count - 6)) & 63];
  }
  if (count > 0) out += detail::kBase64Url[(bits << (6 - count)) & 63];
  return out;
}

// Replaces `out`. False where the text is nothing that to_base64url() gives: other characters,
// padding, a length that no bytes have, or bits left over. So each value has one text.
inline bool from_base64url(std::string_view text, std::string* out) {
  out->clear();
  out->reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t digit = detail::kBase64UrlDigits[static_cast<unsigned char>(c)];
    if (digit < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    *out += static_cast<char>((bits >> count) & 0xff);
  }
  return count < 6 && (bits & ((1u << count) - 1)) == 0;
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_BASE64URL_HPP
