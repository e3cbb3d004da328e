/* bulkhead/services/metric_sink.h - "bh.metric_sink", which keeps the metrics.
 *
 * The host forwards every bh_host.metric, series and record to the plugin that
 * publishes this. Metrics and series registered before it came are replayed in
 * order. Ids are the host's: dense, from 1, never reused while the host runs.
 */
#ifndef BH_SERVICES_METRIC_SINK_H
#define BH_SERVICES_METRIC_SINK_H

#include "bulkhead/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_METRIC_SINK_ID "bh.metric_sink"
#define BH_METRIC_SINK_VERSION 1u

typedef struct bh_metric_sink {
    uint32_t size;
    uint32_t reserved;
    void (*metric)(void *self, uint32_t metric, bh_str owner, const bh_metric *m);                    /* serialized by the host */
    void (*series)(void *self, uint32_t series, uint32_t metric, const bh_str *labels, size_t n);     /* serialized by the host */
    void (*record)(void *self, uint32_t series, double v, bh_exchange *exemplar);                     /* [any] hot: must not block */
} bh_metric_sink;

BH_SIZE_(bh_metric_sink, 32);

#ifdef __cplusplus
}
#endif
#endif /* BH_SERVICES_METRIC_SINK_H */
