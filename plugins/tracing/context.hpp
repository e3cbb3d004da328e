// W3C Trace Context and Baggage: the headers by which a trace goes from program to program.
//
// https://www.w3.org/TR/trace-context-2/ and https://www.w3.org/TR/baggage/. Names of what is done
// where a caller's header is wrong are those of the texts: a bad traceparent starts a new trace, a
// bad tracestate or baggage is dropped alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "bulkhead/plugin.h"
#include "bulkhead/text/hex.hpp"

namespace tracing {

using bulkhead::hex;
using TraceId = std::array<uint8_t, 16>;
using SpanId = std::array<uint8_t, 8>;

enum : uint8_t { kSampled = 1, kRandom = 2 };  // trace-flags

struct TraceParent {
  TraceId trace_id{};
  SpanId span_id{};
  uint8_t flags = 0;
};

// The value of the one traceparent header. Empty where it is not to be used.
std::optional<TraceParent> parse_traceparent(std::string_view text);
// 55 characters and a NUL.
void write_traceparent(const TraceParent& parent, char (&out)[56]);
// False where it is not that many bytes in lower-case digits.
bool unhex(std::string_view text, std::span<uint8_t> out);

// The members of all tracestate headers in order, as one list; "" where there are none or one is
// malformed.
std::string join_tracestate(std::span<const bh_pair> headers);
// The same of baggage: what is no list of `key=value;property` is dropped, and what is past 64
// members or 8192 bytes.
std::string join_baggage(std::span<const bh_pair> headers);

}  // namespace tracing
