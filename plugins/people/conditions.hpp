// Conditional requests (RFC 9110 §13) and media types, as the resource uses them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "bulkhead/text/json.hpp"

namespace people {

// A record's strong entity tag: it changes with every change of the record.
std::string etag(int64_t version);

// If-Match and If-None-Match of a request, judged against the tag of what is there now; "" for what
// has no tag. In the order of RFC 9110 §13.2.2.
class Conditions {
 public:
  explicit Conditions(const bulkhead::Request& request)
      : if_match_(request.header_list("if-match")), if_none_match_(request.header_list("if-none-match")) {}

  bool any() const { return if_match_ || if_none_match_; }
  // For a read: 0 to answer it, 304 or 412.
  int read_status(std::string_view tag) const;
  // For anything else: throws 412 where they do not hold.
  void require(std::string_view tag) const;

 private:
  std::optional<std::string> if_match_, if_none_match_;
};

// Throws 406 where an Accept field excludes application/json.
void require_json_accepted(const bulkhead::Request& request);
// The media type of the body in lower case, without parameters.
std::string content_type(const bulkhead::Request& request);

// Parses a body. Throws a Problem where it is not JSON in UTF-8, nested too deeply, has a member
// twice or more values than the rules allow.
bulkhead::JsonDocument parse_body(std::string_view body, const bulkhead::JsonRules& rules = {});

}  // namespace people
