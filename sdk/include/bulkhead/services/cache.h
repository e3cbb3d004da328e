/* bulkhead/services/cache.h - "bh.cache", which keeps answers for later.
 *
 * An answer says in its field Surrogate-Key (tags separated by spaces; the host never sends it on) what it was made
 * of. A plugin that changes that calls invalidate() after the change is durable and before it answers: from
 * then on no request of this host is answered from what was read before. Other hosts follow within moments.
 */
#ifndef BH_SERVICES_CACHE_H
#define BH_SERVICES_CACHE_H

#include "bulkhead/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_CACHE_ID "bh.cache"
#define BH_CACHE_VERSION 1u

typedef struct bh_cache {
    uint32_t size;
    uint32_t reserved;
    void (*invalidate)(void *self, const bh_str *tags, size_t count); /* [any] never waits */
} bh_cache;

BH_SIZE_(bh_cache, 16);

#ifdef __cplusplus
}
#endif
#endif /* BH_SERVICES_CACHE_H */
