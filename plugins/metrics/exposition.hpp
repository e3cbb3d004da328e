// The two forms of an exposition.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store.hpp"

namespace metrics {

inline constexpr std::string_view kTextType = "text/plain; version=0.0.4; charset=utf-8";
inline constexpr std::string_view kOpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8";

// Prometheus text format 0.0.4.
std::string text(const std::vector<Collected>& collected);
// OpenMetrics 1.0, with exemplars.
std::string open_metrics(const std::vector<Collected>& collected);

// Whether an Accept field (RFC 9110 §12.5.1) names OpenMetrics and likes it at least as much as
// plain text.
bool prefers_open_metrics(std::string_view accept);

}  // namespace metrics
