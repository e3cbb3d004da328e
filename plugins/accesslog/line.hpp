// A line of the access log: one JSON object, or text for people.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace accesslog {

struct Entry {
  uint64_t unix_ns = 0;  // when the answer had left
  std::string_view service, version;
  std::string_view trace_id, span_id, request_id;  // "" where there are none
  std::string_view method, path, query, route, protocol, peer, user_agent, plugin;
  int status = 0;
  uint64_t duration_ns = 0, bytes = 0;
};

// Appends the line with its end. Values in `query` named by `redact`, or known to be secrets, are
// REDACTED.
void append_line(const Entry& entry, std::span<const std::string> redact, std::string* out);

// "12:00:00.000 GET /people?limit=3 200 1.234 ms 456 B 127.0.0.1", by UTC; control characters of
// the request are blanks.
void append_text_line(const Entry& entry, std::span<const std::string> redact, bool colour, std::string* out);

}  // namespace accesslog
