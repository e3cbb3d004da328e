// Checks a value against a JSON Schema (draft 7, by Valijson), after filling the
// defaults its `properties` declare. Unknown keys are named with the nearest known one.
#pragma once

#include <vector>

#include "core/config/document.hpp"

namespace bulkhead::config {

// Pointers of the issues are relative to `value`.
std::vector<Issue> check_schema(const Json& schema, Json& value);

}  // namespace bulkhead::config
