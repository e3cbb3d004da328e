#include "line.hpp"

#include <charconv>
#include <cstdio>
#include <ctime>

#include "bulkhead/text/ascii.hpp"
#include "bulkhead/text/json_string.hpp"
#include "bulkhead/text/redact.hpp"

namespace accesslog {

namespace {

void member(std::string_view name, std::string_view value, std::string* out) {
  if (value.empty()) return;
  if (out->back() != '{') *out += ',';
  out->append("\"").append(name).append("\":");
  bulkhead::append_json_string_lossy(value, out);
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

void append_text_line(const Entry& entry, std::span<const std::string> redact, bool colour, std::string* out) {
  const std::string_view off = colour ? "\x1b[0m" : "", dim = colour ? "\x1b[2m" : "";
  const std::string_view status = !colour               ? ""
                                  : entry.status >= 500 ? "\x1b[31m"
                                  : entry.status >= 400 ? "\x1b[33m"
                                                        : "\x1b[32m";
  std::string whole;
  timestamp(entry.unix_ns, &whole);  // {"timestamp":"2026-11-30T12:00:00.000Z"
  static constexpr size_t kTime = 25, kLength = 12;
  out->append(dim).append(whole, kTime, kLength).append(off).append(" ");
  bulkhead::append_printable(entry.method, out);
  out->append(" ");
  bulkhead::append_printable(entry.path, out);
  if (!entry.query.empty()) {
    std::string query;
    bulkhead::redact_query(entry.query, redact, &query);
    out->append("?");
    bulkhead::append_printable(query, out);
  }
  char numbers[96];
  const int n = std::snprintf(numbers, sizeof numbers, "%.3f ms %llu B ", static_cast<double>(entry.duration_ns) * 1e-6,
                              static_cast<unsigned long long>(entry.bytes));
  out->append(" ").append(status).append(std::to_string(entry.status)).append(off).append(" ").append(dim);
  out->append(numbers, static_cast<size_t>(n)).append(entry.peer).append(off).append("\n");
}

}  // namespace accesslog
