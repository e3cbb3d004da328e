// bulkhead/text/json_string.hpp - writing strings of JSON (RFC 8259 §7) without building a
// document.
#ifndef BULKHEAD_TEXT_JSON_STRING_HPP
#define BULKHEAD_TEXT_JSON_STRING_HPP

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "bulkhead/text/hex.hpp"
#include "bulkhead/text/utf8.hpp"
#include "bulkhead/text/words.hpp"

namespace bulkhead {

namespace detail {

// Not zero where one of the eight characters stands escaped in JSON.
constexpr uint64_t json_escapes(uint64_t word) {
  return words::less(word, 0x20) | words::equal(word, '"') | words::equal(word, '\\');
}

}  // namespace detail

// Appends the text in quotes. It must be UTF-8, which is not checked.
inline void append_json_string(std::string_view text, std::string* out) {
  *out += '"';
  if (words::none(text, detail::json_escapes)) {
    out->append(text);
    *out += '"';
    return;
  }
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '"' && c != '\\' && static_cast<unsigned char>(c) >= 0x20) continue;
    out->append(text, from, i - from);
    from = i + 1;
    switch (c) {
      case '"':
        *out += "\\\"";
        break;
      case '\\':
        *out += "\\\\";
        break;
      case '\n':
        *out += "\\n";
        break;
      case '\r':
        *out += "\\r";
        break;
      case '\t':
        *out += "\\t";
        break;
      default:
        *out += "\\u00";
        append_hex(static_cast<uint8_t>(c), out);
    }
  }
  out->append(text, from);
  *out += '"';
}

// The same for any bytes; those that are no UTF-8 become U+FFFD.
inline void append_json_string_lossy(std::string_view text, std::string* out) {
  if (find_invalid_utf8(text) == std::string_view::npos)
    append_json_string(text, out);
  else
    out->append(nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_JSON_STRING_HPP
