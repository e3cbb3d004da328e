#include "conditions.hpp"

#include <algorithm>

#include "bulkhead/text/fields.hpp"

namespace people {

using bulkhead::lowered;
using bulkhead::Problem;
using bulkhead::trim_ows;

std::string etag(int64_t version) { return "\"" + std::to_string(version) + "\""; }

int Conditions::read_status(std::string_view tag) const {
  if (if_match_ && !bulkhead::etag_matches(*if_match_, tag, false)) return 412;
  if (if_none_match_ && bulkhead::etag_matches(*if_none_match_, tag, true)) return 304;
  return 0;
}

void Conditions::require(std::string_view tag) const {
  if (read_status(tag) != 0)
    throw Problem(412, tag.empty()
                           ? "The collection exists and has no ETag, so the condition does not hold."
                           : "The record has changed, or is not in the state the request asks for. Read it again.");
}

void require_json_accepted(const bulkhead::Request& request) {
  const std::string accept = request.header_list("accept").value_or("");
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

bulkhead::JsonDocument parse_body(std::string_view body, const bulkhead::JsonRules& rules) {
  using bulkhead::JsonError;
  try {
    return bulkhead::parse_json(body, rules);
  } catch (const JsonError& error) {
    switch (error.kind) {
      case JsonError::Kind::kTwice:
        throw Problem(422, "A member is given twice; send it once.", {{error.pointer, "is given twice"}});
      case JsonError::Kind::kTooMany:
        throw Problem(422, "The body is too large for what it describes: " + error.message + ".");
      case JsonError::Kind::kTooDeep:
        throw Problem(400, "The body is nested deeper than " + std::to_string(rules.depth) + " levels.");
      case JsonError::Kind::kSyntax:
        break;
    }
    throw Problem(400, "The body is not JSON in UTF-8: " + error.message + ".");
  }
}

}  // namespace people
