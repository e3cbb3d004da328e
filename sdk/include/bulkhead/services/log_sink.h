/* bulkhead/services/log_sink.h - "bh.log_sink", a second receiver of the log.
 *
 * The host forwards every line it writes; a plugin with lines of its own kind (the
 * access log) acquires the service and hands them over itself.
 */
#ifndef BH_SERVICES_LOG_SINK_H
#define BH_SERVICES_LOG_SINK_H

#include "bulkhead/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_LOG_SINK_ID "bh.log_sink"
#define BH_LOG_SINK_VERSION 1u

typedef struct bh_log_field { bh_str name; bh_value value; } bh_log_field;

typedef struct bh_log_sink {
    uint32_t size;
    uint32_t reserved;
    /* [any] Must not block. Texts "trace_id" and "span_id", in hexadecimal, tell the trace. */
    void (*log)(void *self, int32_t level, bh_str message, const bh_log_field *fields, size_t n);
} bh_log_sink;

BH_SIZE_(bh_log_field, 40);
BH_SIZE_(bh_log_sink, 16);

#ifdef __cplusplus
}
#endif
#endif /* BH_SERVICES_LOG_SINK_H */
