// bulkhead/text/fields.hpp - reading the values of HTTP fields (RFC 9110).
#ifndef BULKHEAD_TEXT_FIELDS_HPP
#define BULKHEAD_TEXT_FIELDS_HPP

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "bulkhead/text/ascii.hpp"

namespace bulkhead {

// Without the optional white space around it (§5.6.3).
constexpr std::string_view trim_ows(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Calls `each(item, quality)` for the items of Accept, Accept-Encoding and their like (§12.4.2), in
// lower case and without other parameters; a weight that is no number counts as 0.
template <typename Each>
void for_each_weighted(std::string_view list, Each each) {
  const auto take = [](std::string_view* rest, char separator) {
    const size_t end = rest->find(separator);
    const std::string_view part = trim_ows(rest->substr(0, end));
    rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
    return part;
  };
  while (!list.empty()) {
    std::string_view item = take(&list, ',');
    const std::string name = lowered(take(&item, ';'));
    double quality = 1;
    while (!item.empty()) {
      const std::string parameter = lowered(take(&item, ';'));
      if (!parameter.starts_with("q=")) continue;
      const char* end = parameter.data() + parameter.size();
      const auto parsed = std::from_chars(parameter.data() + 2, end, quality);
      quality = parsed.ec == std::errc() && parsed.ptr == end && quality >= 0 ? std::min(quality, 1.0) : 0.0;
      break;
    }
    if (!name.empty()) each(name, quality);
  }
}

// The strong tag of the same content in a coding: "1" in gzip is "1-gzip", since it is another
// sequence of bytes (§8.8.3.3).
inline std::string coded_etag(std::string_view tag, std::string_view coding) {
  return std::string(tag.substr(0, tag.size() - 1)).append("-").append(coding).append("\"");
}
inline constexpr std::array<std::string_view, 3> kContentCodings = {"zstd", "br", "gzip"};

// Whether a value like `"1", W/"2"` or `*` names the tag, which is a strong one, or the same
// content in a coding; only `*` names "", a representation without a tag. Weak tags match only
// where `weak` is set: If-None-Match compares weakly, If-Match strongly (§13.1).
inline bool etag_matches(std::string_view list, std::string_view tag, bool weak) {
  if (trim_ows(list) == "*") return true;
  const auto same = [tag](std::string_view item) {
    if (item == tag) return true;
    if (tag.size() < 2 || item.size() <= tag.size() || !item.starts_with(tag.substr(0, tag.size() - 1))) return false;
    return std::any_of(kContentCodings.begin(), kContentCodings.end(),
                       [&](std::string_view coding) { return item == coded_etag(tag, coding); });
  };
  while (true) {
    list.remove_prefix(std::min(list.find_first_not_of(", \t"), list.size()));
    const bool weak_item = list.starts_with("W/");
    if (weak_item) list.remove_prefix(2);
    const bool quoted = list.starts_with('"');  // a tag may hold commas; what is no tag is passed over
    const size_t end = quoted ? list.find('"', 1) : list.find(',');
    if (end == std::string_view::npos) return false;
    if (quoted && (weak || !weak_item) && same(list.substr(0, end + 1))) return true;
    list.remove_prefix(end + 1);
  }
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_FIELDS_HPP
