// JSON patches of a record (RFC 6902): checked before they are applied, so that a small one makes
// no large work.
#pragma once

#include <cstddef>

#include "bulkhead/plugin.hpp"

namespace people {

// Values that a patch may hold, in all its operations.
inline constexpr size_t kMostPatchValues = 2'000;

// Throws a Problem unless each operation has its members and points to fields (RFC 6902 §4). Other
// members are ignored.
void check_operations(const bulkhead::Json& patch);
// The record with the operations applied. Throws a Problem where one does not apply.
bulkhead::Json patched(bulkhead::Json record, const bulkhead::Json& patch);

}  // namespace people
