// The key of an answer: everything that it may depend on.
#pragma once

#include <string>

#include "bulkhead/plugin.hpp"

namespace cache {

// The authority and the target as sent, Accept, Prefer and Range, and with `per_identity` the
// caller's identity and scopes.
void make_key(const bulkhead::Request& request, bool per_identity, std::string* key);

}  // namespace cache
