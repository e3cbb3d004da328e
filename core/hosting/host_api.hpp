// The function table that a plugin instance is given.
#pragma once

#include "bulkhead/plugin.h"

namespace bulkhead::hosting {

class Instance;

void fill_host(Instance& instance, bh_host* host);
// The members of bh_host that begin with ex_.
void fill_exchange_api(bh_host* host);
// bh_host.extension
const void* host_extension(const bh_host* host, bh_str id);

}  // namespace bulkhead::hosting
