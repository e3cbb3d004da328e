// Needs a minor version this host does not have.
#include "bulkhead/plugin.h"

BH_NOTE(BH_ABI_MINOR + 1);
extern "C" BH_EXPORT const bh_plugin* bh_plugin_v1(void) { return nullptr; }
