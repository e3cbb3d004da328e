// What the host itself answers in place of a route's step.
#pragma once

#include "core/chain/run.hpp"

namespace bulkhead::chain {

// Checks the route's scope, after the AUTHORIZE hooks. False where it answered 401 or 403 (RFC 6750
// §3).
bool authorize(Run& run);

// Answers a request that matched no route: 404, 405, 501, or OPTIONS.
void answer_unmatched(Run& run);

}  // namespace bulkhead::chain
