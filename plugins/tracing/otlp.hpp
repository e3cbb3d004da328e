// OTLP: what is exported, as the messages of opentelemetry-proto 1.x.
//
// Two encodings of each request: protobuf, by a small writer of wire types, and JSON (ids in
// hexadecimal, enums as numbers, 64-bit integers as texts).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trace.hpp"

namespace tracing {

using Resource = std::vector<std::pair<std::string, std::string>>;

// A trace, or what of it ended later; holds a reference.
struct ExportedTrace {
  Trace* trace;
  Span* first;
  uint32_t count;
};

struct LogRecord {
  uint64_t unix_ns;
  int32_t level;  // BH_TRACE, ...
  std::string message;
  std::vector<std::pair<std::string, bh_value>> fields;  // texts are in `texts`
  std::vector<std::string> texts;
  TraceParent trace;  // all zero: none
};

struct Scope {
  std::string_view name, version;
};

class Encoder {
 public:
  Encoder(Resource resource, std::string version) : resource_(std::move(resource)), version_(std::move(version)) {}

  // `epoch_ns` is the time since 1970 at 0 of the host's clock.
  std::string traces_protobuf(std::span<const ExportedTrace> traces, uint64_t epoch_ns) const;
  std::string traces_json(std::span<const ExportedTrace> traces, uint64_t epoch_ns) const;
  std::string logs_protobuf(std::span<const LogRecord> records) const;
  std::string logs_json(std::span<const LogRecord> records) const;

 private:
  static constexpr std::string_view kScope = "bulkhead";
  const Resource resource_;
  const std::string version_;
};

// SpanFlags: those of the trace, and whether the parent is another program's.
uint32_t span_flags(const Trace& trace, const Span& span);

// Numbers and names of severities (OTLP logs data model) for BH_TRACE to BH_ERROR.
int severity_number(int32_t level);
std::string_view severity_text(int32_t level);

// How many items the collector says it has not taken, by its answer in either form; and why.
struct Rejected {
  uint64_t count = 0;
  std::string why;
};
Rejected parse_partial_success(std::string_view body, bool json);

}  // namespace tracing
