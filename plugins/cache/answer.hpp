// What of an answer may be kept.
#pragma once

#include <string>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "entry.hpp"
#include "flight.hpp"

namespace cache {

// The value of a field, or "".
std::string_view field(const bh_outcome& outcome, std::string_view name);

// Whether the answer may be kept at all: 200, or a 304 that names its ETag, with a Surrogate-Key, without cookies and
// content coding, not forbidden by its Cache-Control, and varying with nothing but what the key holds (RFC 9111 §3).
// `per_identity`: the key holds who asks; `identified`: somebody knows who that is.
bool may_be_kept(const bh_outcome& outcome, bool per_identity, bool identified);

// A copy of it, with ETag and Cache-Control; without times and key.
Draft draft_of(const bh_outcome& outcome, const Route& route);

}  // namespace cache
