#include "core/http/http1/target.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "bulkhead/text/ascii.hpp"
#include "bulkhead/text/words.hpp"
#include "bulkhead/value.hpp"

namespace bulkhead::http::http1 {

namespace {

// 1 for ".", 2 for "..", also where a dot is written %2e; else 0.
int dots(std::string_view segment) {
  int count = 0;
  while (!segment.empty()) {
    if (segment.front() == '.')
      segment.remove_prefix(1);
    else if (segment.size() >= 3 && segment[0] == '%' && segment[1] == '2' && lower(segment[2]) == 'e')
      segment.remove_prefix(3);
    else
      return 0;
    if (++count > 2) return 0;
  }
  return count;
}

// Of a host's name or an IPv4 address (RFC 3986 §3.2.2).
constexpr auto kHostCharacters = [] {
  std::array<bool, 256> in{};
  for (size_t c = 0; c < in.size(); ++c)
    in[c] = is_alnum(static_cast<char>(c)) ||
            std::string_view("-._~%!$&'()*+;=").find(static_cast<char>(c)) != std::string_view::npos;
  return in;
}();
constexpr bool of_host(char c) { return kHostCharacters[static_cast<unsigned char>(c)]; }

}  // namespace

bool valid_target_bytes(std::string_view target) {
  return words::none(target, [](uint64_t word) {
    return words::less(word, 0x21) | words::greater(word, 0x7e) | words::equal(word, '"') | words::equal(word, '<') |
           words::equal(word, '>');
  });
}

bool valid_authority(std::string_view text) {
  size_t end = 0;
  if (!text.empty() && text.front() == '[') {
    end = text.find(']');
    if (end == std::string_view::npos) return false;
    for (const char c : text.substr(1, end - 1))
      if (!of_host(c) && c != ':') return false;
    ++end;
  } else {
    for (; end < text.size() && text[end] != ':'; ++end)
      if (!of_host(text[end])) return false;
  }
  if (end == text.size()) return true;
  if (text[end] != ':') return false;
  return std::all_of(text.begin() + static_cast<std::ptrdiff_t>(end) + 1, text.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

bool split_target(std::string_view method, std::string_view target, Target* out) {
  *out = {};
  if (target == "*") {
    out->asterisk = true;
    return method == "OPTIONS";
  }
  if (target.find('#') != std::string_view::npos) return false;
  if (target.empty()) return false;
  if (method == "CONNECT") {
    const size_t colon = target.rfind(':');
    out->authority = target;
    return colon != std::string_view::npos && colon != 0 && colon + 1 != target.size() && valid_authority(target);
  }
  if (target.front() != '/') {
    const size_t colon = target.find("://");
    if (colon == std::string_view::npos) return false;
    out->scheme = target.substr(0, colon);
    if (!iequals(out->scheme, "http") && !iequals(out->scheme, "https")) return false;
    target.remove_prefix(colon + 3);
    const size_t end = target.find_first_of("/?");
    out->authority = target.substr(0, end);
    if (out->authority.empty() || out->authority.front() == ':' || out->authority.find('@') != std::string_view::npos)
      return false;  // an http URI has a host (RFC 9110 §4.2.1)
    target = end == std::string_view::npos ? std::string_view() : target.substr(end);
  }
  const size_t question = target.find('?');
  out->path = target.substr(0, question);
  if (out->path.empty()) out->path = "/";
  if (question != std::string_view::npos) out->query = target.substr(question + 1);
  return true;
}

bool has_dot_segments(std::string_view path) {
  // Most paths have no such place.
  if (path.find('.') == std::string_view::npos && path.find('%') == std::string_view::npos) return false;
  for (size_t i = path.find('/'); i != std::string_view::npos; i = path.find('/', i + 1)) {
    const char next = i + 1 < path.size() ? path[i + 1] : '\0';
    if (next != '.' && next != '%') continue;
    const size_t end = path.find('/', i + 1);
    if (dots(path.substr(i + 1, end == std::string_view::npos ? end : end - i - 1)) != 0) return true;
  }
  return false;
}

size_t remove_dot_segments(std::string_view path, char* out) {
  size_t n = 0;
  size_t at = 0;
  while (at < path.size()) {  // path[at] is '/'
    const size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string_view segment = path.substr(at + 1, end - at - 1);
    const int kind = dots(segment);
    if (kind == 0) {
      std::memcpy(out + n, path.data() + at, end - at);
      n += end - at;
    } else {
      if (kind == 2)
        while (n > 0 && out[--n] != '/') {
        }
      if (end == path.size()) out[n++] = '/';
    }
    at = end;
  }
  if (n == 0) out[n++] = '/';
  return n;
}

}  // namespace bulkhead::http::http1
