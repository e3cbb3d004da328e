#include "conditions.hpp"

#include <algorithm>

#include "bulkhead/fields.hpp"

namespace people {

using bulkhead::Json;
using bulkhead::lowered;
using bulkhead::Problem;
using bulkhead::trim_ows;

std::string etag(int64_t version) { return "\"" + std::to_string(version) + "\""; }

void require_json_accepted(const bulkhead::Request& request) {
  const std::string accept = request.header_list("accept");
  if (trim_ows(accept).empty()) return;
  // The most specific range that covers application/json decides.
  int best = -1;
  bool acceptable = false;
  bulkhead::for_each_weighted(accept, [&](const std::string& range, double quality) {
    const int rank = range == "application/json" ? 2 : range == "application/*" ? 1 : range == "*/*" ? 0 : -1;
    if (rank <= best) return;
    best = rank;
    acceptable = quality > 0;
  });
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
