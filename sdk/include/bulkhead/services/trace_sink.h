/* bulkhead/services/trace_sink.h - "bh.trace_sink", which keeps the spans.
 *
 * The host forwards bh_host.span and its companions. A span is the sink's own
 * object; the host wraps it so that spans begun before a swap end where they
 * began. Without a sink every call costs a branch.
 */
#ifndef BH_SERVICES_TRACE_SINK_H
#define BH_SERVICES_TRACE_SINK_H

#include "bulkhead/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_TRACE_SINK_ID "bh.trace_sink"
#define BH_TRACE_SINK_VERSION 1u

enum {
    BH_SPAN_STEP = 0 /* kind: of one plugin's step of a request; spans begun meanwhile lie below it */
};

enum {
    BH_TRACE_STEPS = 1u << 0 /* bh_trace_sink.flags: the host begins a BH_SPAN_STEP for each step */
};

typedef struct bh_trace_sink {
    uint32_t size;
    uint32_t flags;
    void *(*begin)(void *self, bh_str plugin, bh_exchange *ex, void *parent, int32_t kind, bh_str name); /* [any] ex, parent, result may be NULL */
    void (*tag)(void *self, void *span, bh_str key, const bh_value *value);                              /* [any] one thread at a time; key "link": a traceparent of what it belongs to as well */
    void (*context)(void *self, void *span, char traceparent[56]);                                       /* [any] */
    void (*end)(void *self, void *span, bh_status outcome);                                              /* [any] frees span */
} bh_trace_sink;

BH_SIZE_(bh_trace_sink, 40);

#ifdef __cplusplus
}
#endif
#endif /* BH_SERVICES_TRACE_SINK_H */
