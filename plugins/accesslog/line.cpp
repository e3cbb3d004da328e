#include "line.hpp"

#include <charconv>
#include <cstdio>
#include <ctime>

#include "bulkhead/redact.hpp"

namespace accesslog {

namespace {

// Bytes of the UTF-8 sequence at the beginning (RFC 3629 §4); 0 where there is none.
size_t sequence(std::string_view text) {
  const auto byte = [text](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  unsigned low = 0x80, high = 0xbf;  // of the second byte
  if (first == 0xe0) low = 0xa0;
  if (first == 0xed) high = 0x9f;
  if (first == 0xf0) low = 0x90;
  if (first == 0xf4) high = 0x8f;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  return length;
}

void member(std::string_view name, std::string_view value, std::string* out) {
  if (value.empty()) return;
  if (out->back() != '{') *out += ',';
  out->append("\"").append(name).append("\":");
  append_json_string(value, out);
}

void number(std::string_view name, uint64_t value, std::string* out) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out->append(",\"").append(name).append("\":").append(digits, end);
}

void timestamp(uint64_t unix_ns, std::string* out) {
  // A line is written thousands of times a second: the part above the second is kept.
  static thread_local time_t known = 0;
  static thread_local char text[32] = "";
  const auto second = static_cast<time_t>(unix_ns / 1'000'000'000);
  if (second != known || text[0] == '\0') {
    tm parts{};
    gmtime_r(&second, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    known = second;
  }
  const auto ms = static_cast<unsigned>(unix_ns / 1'000'000 % 1000);
  const char fraction[] = {'.', static_cast<char>('0' + ms / 100), static_cast<char>('0' + ms / 10 % 10),
                           static_cast<char>('0' + ms % 10), 'Z'};
  out->append("{\"timestamp\":\"").append(text).append(fraction, sizeof fraction).append("\"");
}

}  // namespace

void append_json_string(std::string_view text, std::string* out) {
  *out += '"';
  while (!text.empty()) {
    const size_t length = sequence(text);
    const auto c = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      out->append("\xef\xbf\xbd");
    } else if (c == '"' || c == '\\') {
      out->append({'\\', text[0]});
    } else if (c < 0x20) {
      static constexpr std::string_view kHex = "0123456789abcdef";
      out->append({'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]});
    } else {
      out->append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  *out += '"';
}

void append_line(const Entry& entry, std::span<const std::string> redact, std::string* out) {
  timestamp(entry.unix_ns, out);
  member("level", entry.status >= 500 ? "error" : "info", out);
  member("service", entry.service, out);
  member("version", entry.version, out);
  member("trace_id", entry.trace_id, out);
  member("span_id", entry.span_id, out);
  member("request_id", entry.request_id, out);
  out->append(",\"http\":{");
  member("method", entry.method, out);
  member("path", entry.path, out);
  if (!entry.query.empty()) {
    std::string query;
    bulkhead::redact_query(entry.query, redact, &query);
    member("query", query, out);
  }
  member("route", entry.route, out);
  number("status", static_cast<uint64_t>(entry.status), out);
  char duration[32];
  const int n =
      std::snprintf(duration, sizeof duration, ",\"duration_ms\":%.3f", static_cast<double>(entry.duration_ns) * 1e-6);
  out->append(duration, static_cast<size_t>(n));
  number("bytes", entry.bytes, out);
  member("protocol", entry.protocol, out);
  member("peer", entry.peer, out);
  member("user_agent", entry.user_agent, out);
  out->append("}");
  member("plugin", entry.plugin, out);
  std::string message(entry.method);
  message.append(" ").append(entry.path);
  member("message", message, out);
  out->append("}\n");
}

}  // namespace accesslog
