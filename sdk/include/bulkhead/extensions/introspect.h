/* bulkhead/extensions/introspect.h - "bh.introspect/1", what the host runs.
 *
 * From bh_host.extension(). Calls visit a consistent snapshot; what a visitor is
 * shown is lent until it returns. [any] thread.
 */
#ifndef BH_EXTENSIONS_INTROSPECT_H
#define BH_EXTENSIONS_INTROSPECT_H

#include "bulkhead/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_INTROSPECT_ID "bh.introspect/1"

typedef struct bh_plugin_info {
    uint32_t size;
    int32_t health;      /* BH_STARTING, BH_READY, BH_DEGRADED, BH_FAILED */
    bh_str instance, id, version, summary, file;
    bh_str why;          /* reason of that health, "" when ready */
} bh_plugin_info;

typedef struct bh_route_info {
    uint32_t size;
    uint32_t flags;
    bh_str method, pattern, plugin, operation, scope;
} bh_route_info;

typedef struct bh_introspect {
    uint32_t size;
    uint32_t reserved;
    uint64_t (*generation)(const bh_host *h); /* changes whenever plugins or routes do */
    void (*plugins)(const bh_host *h, void (*visit)(void *arg, const bh_plugin_info *info), void *arg);
    void (*routes)(const bh_host *h, void (*visit)(void *arg, const bh_route_info *info), void *arg);
    int32_t (*draining)(const bh_host *h);    /* 1 once the host was told to stop: it answers what runs, then ends */
} bh_introspect;

BH_SIZE_(bh_plugin_info, 104);
BH_SIZE_(bh_route_info, 88);
BH_SIZE_(bh_introspect, 40);

#ifdef __cplusplus
}
#endif
#endif /* BH_EXTENSIONS_INTROSPECT_H */
