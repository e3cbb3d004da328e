// The server span of a request, by OpenTelemetry's HTTP semantic conventions (stable, 1.23 and
// later).
#pragma once

#include <span>
#include <string>

#include "bulkhead/plugin.hpp"
#include "trace.hpp"

namespace tracing {

// "GET /people/{uuid}", "GET" where no route answers, "HTTP" for an unknown method.
std::string server_span_name(const bulkhead::Request& request);
void describe_server_span(Trace& trace, Span& span, const bulkhead::Request& request, const bulkhead::Outcome& outcome,
                          std::span<const std::string> redact_query);

}  // namespace tracing
