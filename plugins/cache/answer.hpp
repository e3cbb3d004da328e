// What of an answer may be kept.
#pragma once

#include <string>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "entry.hpp"
#include "flight.hpp"

namespace cache {

// The caller an answer is for.
struct Caller {
  bool identified = false;  // the key holds the identity: the entry is for this caller alone
  bool authorized = false;  // sent an Authorization field
};

// How long the answer may be kept, at most `most_ns`; 0 for not at all (RFC 9111 §3, §4.2.1).
//
// Kept is a 200, or a 304 that names its ETag, with a Surrogate-Key, without cookies and content
// coding, that varies with nothing but what the key holds. Its Cache-Control and Expires bound the
// time: no-store and no-cache allow none, and private none but for identified callers. An answer to
// an Authorization of an unidentified caller is kept only where public, s-maxage or
// must-revalidate allow it (§3.5).
uint64_t lifetime_ns(const bulkhead::Outcome& outcome, Caller caller, uint64_t most_ns);

// The tag of a URI itself, beside those that an answer names: an unsafe request makes what is kept
// of it untrue (§4.4).
std::string uri_tag(std::string_view authority, std::string_view target);
// Of a Location or Content-Location: the target on the same origin; "" for another origin, or none.
std::string_view same_origin_target(std::string_view location, std::string_view authority);

// A copy of it, with ETag and Cache-Control; without times and key.
Draft draft_of(const bulkhead::Outcome& outcome, const Route& route);

}  // namespace cache
