// Another major version, and a constructor that aborts: it must be refused before any of its code
// runs.
#include <cstdlib>

#include "bulkhead/plugin.h"

namespace {
struct Aborting {
  Aborting() { std::abort(); }
} aborting;
__attribute__((section(".note.bulkhead"), used, aligned(4))) const struct {
  uint32_t n, d, t;
  char name[4];
  uint16_t v[2];
} note = {4, 4, 1, {'B', 'H', 0, 0}, {BH_ABI_MAJOR + 1, 0}};
}  // namespace

extern "C" BH_EXPORT const bh_plugin* bh_plugin_v1(void) { return nullptr; }
