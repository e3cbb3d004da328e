// Metrics of the host's own, as it makes them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "bulkhead/value.hpp"
#include "core/telemetry/metrics.hpp"

namespace bulkhead::app {

// The id of the metric, for Metrics::series().
inline uint32_t host_metric(telemetry::Metrics& metrics, uint32_t kind, std::string_view name, std::string_view help,
                            const std::vector<std::string_view>& labels = {}) {
  std::vector<bh_str> names;
  names.reserve(labels.size());
  for (const std::string_view label : labels) names.push_back(to_str(label));
  bh_metric metric{};
  metric.size = sizeof metric;
  metric.kind = kind;
  metric.name = to_str(name);
  metric.help = to_str(help);
  metric.labels = names.data();
  metric.label_count = names.size();
  uint32_t id = 0;
  metrics.add("host", metric, &id);
  return id;
}

}  // namespace bulkhead::app
