/* bulkhead/extensions/trace_context.h - "bh.trace_context/1", the trace a request belongs to.
 *
 * From bh_host.extension(). The plugin that publishes bh.trace_sink sets the ids in
 * RECEIVE: they are then in bh_request, in log lines, and here for code that has
 * only the exchange. Ids and flags as in W3C Trace Context.
 */
#ifndef BH_EXTENSIONS_TRACE_CONTEXT_H
#define BH_EXTENSIONS_TRACE_CONTEXT_H

#include "bulkhead/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_TRACE_CONTEXT_ID "bh.trace_context/1"

enum { BH_SAMPLED = 1u << 0 }; /* bh_trace_ids.flags: the trace is, or will be, exported */

typedef struct bh_trace_ids {
    uint32_t size;
    uint32_t flags;
    uint8_t trace_id[16];
    uint8_t span_id[8]; /* of the request's server span */
} bh_trace_ids;

typedef struct bh_trace_context {
    uint32_t size;
    uint32_t reserved;
    /* [step] BH_E_DENIED for others than the trace sink. Once in RECEIVE; later only the flags change. */
    bh_status (*set)(const bh_host *h, bh_exchange *ex, const bh_trace_ids *ids);
    /* [any] where the exchange is lent or held. BH_E_NOT_FOUND where it belongs to no trace. */
    bh_status (*get)(const bh_host *h, bh_exchange *ex, bh_trace_ids *ids);
} bh_trace_context;

BH_SIZE_(bh_trace_ids, 32);
BH_SIZE_(bh_trace_context, 24);

#ifdef __cplusplus
}
#endif
#endif /* BH_EXTENSIONS_TRACE_CONTEXT_H */
