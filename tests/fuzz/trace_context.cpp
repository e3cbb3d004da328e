// What callers send as trace context: what is taken from it is taken again as it stands.
#include "context.hpp"

#include <array>

#include "bulkhead/http.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto parent = tracing::parse_traceparent(text)) {
    char written[56];
    tracing::write_traceparent(*parent, written);
    const auto again = tracing::parse_traceparent(written);
    fuzz::expect(again && again->trace_id == parent->trace_id && again->span_id == parent->span_id &&
                     again->flags == parent->flags,
                 "the same context");
  }
  for (const std::string_view name : {"tracestate", "baggage"}) {
    const auto join = name == "baggage" ? tracing::join_baggage : tracing::join_tracestate;
    const size_t half = size / 2;  // as two headers
    const std::array<bh_pair, 2> headers = {bh_pair{bulkhead::to_str(name), bulkhead::to_str(text.substr(0, half))},
                                            bh_pair{bulkhead::to_str(name), bulkhead::to_str(text.substr(half))}};
    const std::string joined = join(headers);
    fuzz::expect(joined.size() <= 8192, "a bound");
    const std::array<bh_pair, 1> one = {{{bulkhead::to_str(name), bulkhead::to_str(joined)}}};
    fuzz::expect(join(one) == joined, "the same list");
    fuzz::expect(joined.find_first_of("\r\n") == std::string::npos, "no line break");
  }
  return 0;
}
