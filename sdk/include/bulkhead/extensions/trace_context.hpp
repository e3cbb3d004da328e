// bulkhead/extensions/trace_context.hpp - C++20 over extensions/trace_context.h.
#ifndef BULKHEAD_EXTENSIONS_TRACE_CONTEXT_HPP
#define BULKHEAD_EXTENSIONS_TRACE_CONTEXT_HPP

#include <optional>

#include "bulkhead/extensions/trace_context.h"
#include "bulkhead/host.hpp"

namespace bulkhead {

class TraceContext {
 public:
  explicit TraceContext(const Host& host)
      : host_(host.raw()), table_(host.extension<bh_trace_context>(BH_TRACE_CONTEXT_ID)) {}

  // The host has it.
  explicit operator bool() const { return table_ != nullptr; }
  // Absent where the exchange belongs to no trace.
  std::optional<bh_trace_ids> of(bh_exchange* ex) const {
    bh_trace_ids ids = sized<bh_trace_ids>();
    if (table_ == nullptr || table_->get(host_, ex, &ids) != BH_OK) return std::nullopt;
    return ids;
  }
  // For the plugin that publishes bh.trace_sink.
  bh_status set(bh_exchange* ex, const bh_trace_ids& ids) const { return table_->set(host_, ex, &ids); }

 private:
  const bh_host* host_;
  const bh_trace_context* table_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_EXTENSIONS_TRACE_CONTEXT_HPP
