// What checked mode holds plugins to, in front of the functions they call.
#pragma once

#include "bulkhead/plugin.h"

namespace bulkhead::hosting {

// Puts the checks in front of a filled table.
void check_calls(bh_host* host);

}  // namespace bulkhead::hosting
