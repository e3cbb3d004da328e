// Random ids. Not for secrets: unique and evenly spread, as sampling by trace id needs them.
#pragma once

#include "context.hpp"

namespace tracing {

TraceId random_trace_id();
SpanId random_span_id();
// Evenly spread in [0, 1).
double random_unit();

}  // namespace tracing
