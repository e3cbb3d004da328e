// TraceIds: the trace of a request as log lines show it.
#pragma once

#include <string_view>

#include "bulkhead/text/hex.hpp"
#include "core/exchange/exchange.hpp"

namespace bulkhead::telemetry {

class TraceIds {
 public:
  // False where the request belongs to no trace.
  bool take(const exchange::Exchange& ex) {
    if (!ex.request.traced()) return false;
    hex(ex.request.trace_id, trace_);
    hex(ex.request.span_id, span_);
    return true;
  }
  std::string_view trace() const { return {trace_, sizeof trace_}; }
  std::string_view span() const { return {span_, sizeof span_}; }

 private:
  char trace_[32], span_[16];
};

}  // namespace bulkhead::telemetry
