// TraceIds: the trace of a request as log lines show it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/exchange/exchange.hpp"

namespace bulkhead::telemetry {

class TraceIds {
 public:
  // False where the request belongs to no trace.
  bool take(const exchange::Exchange& ex) {
    if (!ex.traced()) return false;
    write(ex.request.trace_id, trace_);
    write(ex.request.span_id, span_);
    return true;
  }
  std::string_view trace() const { return {trace_, sizeof trace_}; }
  std::string_view span() const { return {span_, sizeof span_}; }

 private:
  static void write(std::span<const uint8_t> bytes, char* to) {
    for (const uint8_t byte : bytes) {
      *to++ = "0123456789abcdef"[byte >> 4];
      *to++ = "0123456789abcdef"[byte & 15];
    }
  }
  char trace_[32], span_[16];
};

}  // namespace bulkhead::telemetry
