// Request targets (RFC 9112 §3.2, RFC 3986): forms, dot segments.
#pragma once

#include <cstddef>
#include <string_view>

#include "bulkhead/text/percent.hpp"

namespace bulkhead::http::http1 {

// Bytes a request target may hold: printable ASCII without the blank, '"', '<' and '>'. Browsers
// send others that RFC 3986 forbids ('|', '^', '`', '{', '}', '\', '[', ']'), so those are taken.
bool valid_target_bytes(std::string_view target);

// uri-host [":" port] (RFC 3986 §3.2.2, §3.2.3), without the comma, which some take for a list; may
// be empty.
bool valid_authority(std::string_view text);

struct Target {
  std::string_view scheme, authority, path, query;  // path as sent
  bool asterisk = false;
};
// False where the target has none of the forms allowed for the method. The authority is checked for
// CONNECT only.
bool split_target(std::string_view method, std::string_view target, Target* out);

// True where the path has a segment that is, once decoded, "." or "..".
bool has_dot_segments(std::string_view path);
// Resolves them (RFC 3986 §5.2.4); writes at most path.size() + 1 bytes. Never climbs above "/".
size_t remove_dot_segments(std::string_view path, char* out);

}  // namespace bulkhead::http::http1
