// Conditional requests (RFC 9110 §13) and media types, as the resource uses them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bulkhead/plugin.hpp"

namespace people {

// A record's strong entity tag: it changes with every change of the record.
std::string etag(int64_t version);

// Throws 406 where an Accept field excludes application/json.
void require_json_accepted(const bulkhead::Request& request);
// The media type of the body in lower case, without parameters.
std::string content_type(const bulkhead::Request& request);

// Parses a body. Throws 400 where it is not JSON, not UTF-8 or nested deeper than kMaxDepth.
inline constexpr int kMaxDepth = 32;
bulkhead::Json parse_body(std::string_view body);

}  // namespace people
