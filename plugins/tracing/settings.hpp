// Settings of the plugin, read from its configuration.
//
// Keys are named after the OTEL_* variables, whose formats they take, so that a configuration can
// hand them through.
#pragma once

#include <string>

#include "bulkhead/plugin.hpp"
#include "exporter.hpp"
#include "sampler.hpp"
#include "tracing_config.hpp"

namespace tracing {

struct Settings {
  bool export_traces = false, export_logs = false;
  bool take_logs = false;  // offers to take log lines, though they may go nowhere
  DeliverySettings traces, logs;
  BatchSettings batch;
  SamplerSettings sampler;
  Limits limits;
  Resource resource;
  bool trace_context = true, baggage = true;  // propagators
  bool steps = false;
  std::vector<std::string> redact_query;
};

// Throws Failure (BH_E_CONFIG) that names the key.
Settings read_settings(const tracing_config::Config& config, std::string_view version);

}  // namespace tracing
