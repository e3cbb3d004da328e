// bulkhead/utf8.hpp - texts from outside for formats that refuse a whole document over one wrong byte.
#ifndef BULKHEAD_UTF8_HPP
#define BULKHEAD_UTF8_HPP

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace bulkhead {

inline bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// With U+FFFD in place of what is no UTF-8 (RFC 3629): the JSON library's own replacement, without its quotes.
inline std::string clean_utf8(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  const std::string dumped =
      nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(dumped).get<std::string>();
}

}  // namespace bulkhead

#endif  // BULKHEAD_UTF8_HPP
