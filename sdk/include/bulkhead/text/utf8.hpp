// bulkhead/text/utf8.hpp - texts from outside for formats that refuse a whole document over one
// wrong byte.
#ifndef BULKHEAD_TEXT_UTF8_HPP
#define BULKHEAD_TEXT_UTF8_HPP

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace bulkhead {

inline bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Offset of the first byte that begins no character (RFC 3629); npos where all of it is UTF-8.
inline size_t find_invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (length == 0 || text.size() - i < length) return i;
    for (size_t k = 1; k < length; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      // No overlong forms, no surrogates, nothing beyond U+10FFFF: the second byte tells.
      const unsigned low = k > 1 ? 0x80 : lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
      const unsigned high = k > 1 ? 0xbf : lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
      if (byte < low || byte > high) return i;
    }
    i += length;
  }
  return std::string_view::npos;
}

// With U+FFFD in place of what is no UTF-8 (RFC 3629): the JSON library's own replacement, without
// its quotes.
inline std::string clean_utf8(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  const std::string dumped =
      nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(dumped).get<std::string>();
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_UTF8_HPP
