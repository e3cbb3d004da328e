#include "conditions.hpp"

#include <algorithm>

#include "bulkhead/fields.hpp"

namespace people {

using bulkhead::Json;
using bulkhead::lowered;
using bulkhead::Problem;
using bulkhead::trim_ows;

namespace {

// "q=0", "q=0.0" and the like: not acceptable (RFC 9110 §12.4.2).
bool excluded(std::string_view parameters) {
  while (!parameters.empty()) {
    const size_t semicolon = parameters.find(';');
    const std::string parameter = lowered(trim_ows(parameters.substr(0, semicolon)));
    if (parameter.starts_with("q=0") && parameter.find_first_not_of("0.", 2) == std::string::npos) return true;
    if (semicolon == std::string_view::npos) return false;
    parameters.remove_prefix(semicolon + 1);
  }
  return false;
}

}  // namespace

std::string etag(int64_t version) { return "\"" + std::to_string(version) + "\""; }

void require_json_accepted(const bulkhead::Request& request) {
  const std::string all = request.header_list("accept");
  std::string_view accept = all;
  if (trim_ows(accept).empty()) return;
  // The most specific range that covers application/json decides.
  int best = -1;
  bool acceptable = false;
  while (!accept.empty()) {
    const size_t comma = accept.find(',');
    const std::string_view item = accept.substr(0, comma);
    const size_t semicolon = item.find(';');
    const std::string range = lowered(trim_ows(item.substr(0, semicolon)));
    const int rank = range == "application/json" ? 2 : range == "application/*" ? 1 : range == "*/*" ? 0 : -1;
    if (rank > best) {
      best = rank;
      acceptable = semicolon == std::string_view::npos || !excluded(item.substr(semicolon + 1));
    }
    if (comma == std::string_view::npos) break;
    accept.remove_prefix(comma + 1);
  }
  if (!acceptable) throw Problem(406, "Only application/json is served here.");
}

std::string content_type(const bulkhead::Request& request) {
  const std::string_view value = request.header("content-type");
  return lowered(trim_ows(value.substr(0, value.find(';'))));
}

Json parse_body(std::string_view body) {
  int depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  if (deepest > kMaxDepth)
    throw Problem(400, "The body is nested deeper than " + std::to_string(kMaxDepth) + " levels.");
  try {
    return Json::parse(body);
  } catch (const Json::exception& error) {  // also a number no double holds
    // "[json.exception.parse_error.101] parse error at line 1, column 5: ...": the tail says what and where.
    std::string_view what = error.what();
    what = what.substr(std::min(what.find("] ") + 2, what.size()));
    const std::string detail = Json(std::string(what)).dump(-1, ' ', false, Json::error_handler_t::replace);
    throw Problem(400, "The body is not JSON in UTF-8: " + Json::parse(detail).get<std::string>() + ".");
  }
}

}  // namespace people
