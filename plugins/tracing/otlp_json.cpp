#include <nlohmann/json.hpp>

#include "bulkhead/text/json.hpp"
#include "otlp.hpp"
#include "protobuf.hpp"

namespace tracing {

using Json = nlohmann::ordered_json;

namespace {

template <size_t N>
std::string hex_text(const std::array<uint8_t, N>& id) {
  char digits[2 * N];
  return std::string(hex(id, digits));
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j) out += i + j <= bytes.size() ? kDigits[group >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

Json value(const bh_value& v) {
  switch (v.kind) {
    case BH_TEXT:
      return {{"stringValue", std::string_view(v.as.s.ptr, v.as.s.len)}};
    case BH_BOOL:
      return {{"boolValue", v.as.i != 0}};
    case BH_INT:
      return {{"intValue", std::to_string(v.as.i)}};
    case BH_REAL:
      return {{"doubleValue", v.as.r}};
    case BH_BYTES:
      return {{"bytesValue", base64({v.as.s.ptr, v.as.s.len})}};
    default:
      return Json::object();
  }
}

Json key_value(std::string_view key, std::string_view text) {
  return {{"key", key}, {"value", {{"stringValue", text}}}};
}

Json resource_of(const Resource& attributes) {
  Json list = Json::array();
  for (const auto& [key, text] : attributes) list.push_back(key_value(key, text));
  return {{"attributes", std::move(list)}};
}

Json span(const Trace& trace, const Span& s, uint64_t epoch_ns) {
  Json out = {{"traceId", hex_text(trace.trace_id)}, {"spanId", hex_text(s.id)}};
  if (!trace.state.empty()) out["traceState"] = trace.state;
  if (s.parent != SpanId{}) out["parentSpanId"] = hex_text(s.parent);
  out["flags"] = span_flags(trace, s);
  out["name"] = s.name;
  out["kind"] = s.kind;
  out["startTimeUnixNano"] = std::to_string(s.start_ns + epoch_ns);
  out["endTimeUnixNano"] = std::to_string(s.end_ns + epoch_ns);
  Json& attributes = out["attributes"] = Json::array();
  for (const Attribute* a = s.attributes; a != nullptr; a = a->next)
    attributes.push_back({{"key", a->key}, {"value", value(a->value)}});
  if (!s.plugin.empty()) attributes.push_back(key_value(kPluginKey, s.plugin));
  if (s.dropped_attributes != 0) out["droppedAttributesCount"] = s.dropped_attributes;
  for (const Link* link = s.links; link != nullptr; link = link->next)
    out["links"].push_back(
        {{"traceId", hex_text(link->to.trace_id)}, {"spanId", hex_text(link->to.span_id)}, {"flags", link->to.flags}});
  if (s.failed) {
    out["status"]["code"] = 2;
    if (!s.message.empty()) out["status"]["message"] = s.message;
  }
  return out;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string Encoder::traces_json(std::span<const ExportedTrace> traces, uint64_t epoch_ns) const {
  Json spans = Json::array();
  for (const ExportedTrace& exported : traces)
    for (const Span* s = exported.first; s != nullptr; s = s->next)
      spans.push_back(span(*exported.trace, *s, epoch_ns));
  Json scope_spans = {{"scope", {{"name", kScope}, {"version", version_}}}, {"spans", std::move(spans)}};
  Json resource_spans = {{"resource", resource_of(resource_)}, {"scopeSpans", Json::array({std::move(scope_spans)})}};
  return dump({{"resourceSpans", Json::array({std::move(resource_spans)})}});
}

std::string Encoder::logs_json(std::span<const LogRecord> records) const {
  Json list = Json::array();
  for (const LogRecord& record : records) {
    Json entry = {{"timeUnixNano", std::to_string(record.unix_ns)},
                  {"observedTimeUnixNano", std::to_string(record.unix_ns)},
                  {"severityNumber", severity_number(record.level)},
                  {"severityText", severity_text(record.level)},
                  {"body", {{"stringValue", record.message}}}};
    Json& attributes = entry["attributes"] = Json::array();
    for (const auto& [key, v] : record.fields) attributes.push_back({{"key", key}, {"value", value(v)}});
    if (record.trace.trace_id != TraceId{}) {
      entry["flags"] = record.trace.flags;
      entry["traceId"] = hex_text(record.trace.trace_id);
      entry["spanId"] = hex_text(record.trace.span_id);
    }
    list.push_back(std::move(entry));
  }
  Json scope_logs = {{"scope", {{"name", kScope}, {"version", version_}}}, {"logRecords", std::move(list)}};
  Json resource_logs = {{"resource", resource_of(resource_)}, {"scopeLogs", Json::array({std::move(scope_logs)})}};
  return dump({{"resourceLogs", Json::array({std::move(resource_logs)})}});
}

// ExportTraceServiceResponse and ExportLogsServiceResponse have the same shape.
Rejected parse_partial_success(std::string_view body, bool json) {
  Rejected rejected;
  if (json) {
    nlohmann::json answer;
    try {
      answer = bulkhead::parse_json(body).value;
    } catch (const bulkhead::JsonError&) {  // it says nothing of what was rejected
      return rejected;
    }
    if (!answer.is_object() || !answer.contains("partialSuccess")) return rejected;
    const nlohmann::json& partial = answer["partialSuccess"];
    if (!partial.is_object()) return rejected;
    for (const char* key : {"rejectedSpans", "rejectedLogRecords"}) {
      if (!partial.contains(key)) continue;
      const nlohmann::json& count = partial[key];
      if (count.is_number_integer() && count > 0) rejected.count = count.get<uint64_t>();
      if (count.is_string()) rejected.count = std::strtoull(count.get_ref<const std::string&>().c_str(), nullptr, 10);
    }
    if (partial.contains("errorMessage") && partial["errorMessage"].is_string()) rejected.why = partial["errorMessage"];
    return rejected;
  }
  for (ProtobufReader answer(body); answer.next();) {
    if (answer.field != 1) continue;
    for (ProtobufReader partial(answer.text); partial.next();) {
      if (partial.field == 1 && static_cast<int64_t>(partial.number) > 0) rejected.count = partial.number;
      if (partial.field == 2) rejected.why = partial.text;
    }
  }
  return rejected;
}

}  // namespace tracing
