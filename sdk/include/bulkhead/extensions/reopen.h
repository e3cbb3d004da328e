/* bulkhead/extensions/reopen.h - "bh.reopen/1", files that were renamed by a rotation.
 *
 * From bh_plugin.extension(). The host calls it on SIGUSR1, after its own log.
 */
#ifndef BH_EXTENSIONS_REOPEN_H
#define BH_EXTENSIONS_REOPEN_H

#include "bulkhead/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_REOPEN_ID "bh.reopen/1"

typedef struct bh_reopen {
    uint32_t size;
    uint32_t reserved;
    void (*reopen)(void *self); /* control thread; what cannot be opened again stays open, and the plugin says so */
} bh_reopen;

BH_SIZE_(bh_reopen, 16);

#ifdef __cplusplus
}
#endif
#endif /* BH_EXTENSIONS_REOPEN_H */
