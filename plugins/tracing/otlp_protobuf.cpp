#include "bulkhead/text/utf8.hpp"
#include "otlp.hpp"
#include "protobuf.hpp"

namespace tracing {

namespace {

using Writer = ProtobufWriter;

// A string that is no UTF-8 would spoil the whole message.
void utf8(Writer& out, uint32_t field, std::string_view text) {
  if (bulkhead::is_ascii(text))
    out.text(field, text);
  else
    out.text(field, bulkhead::clean_utf8(text));
}

// AnyValue
void value(Writer& out, uint32_t field, const bh_value& v) {
  out.message(field, [&] {
    switch (v.kind) {
      case BH_TEXT:
        utf8(out, 1, {v.as.s.ptr, v.as.s.len});
        break;
      case BH_BOOL:
        out.varint(2, v.as.i != 0 ? 1 : 0);
        break;
      case BH_INT:
        out.varint(3, static_cast<uint64_t>(v.as.i));
        break;
      case BH_REAL:
        out.real(4, v.as.r);
        break;
      case BH_BYTES:
        out.text(7, {v.as.s.ptr, v.as.s.len});
        break;
      default:
        break;
    }
  });
}

void key_value(Writer& out, uint32_t field, std::string_view key, const bh_value& v) {
  out.message(field, [&] {
    utf8(out, 1, key);
    value(out, 2, v);
  });
}

void key_value(Writer& out, uint32_t field, std::string_view key, std::string_view text) {
  bh_value v{};
  v.kind = BH_TEXT;
  v.as.s = {text.data(), text.size()};
  key_value(out, field, key, v);
}

void resource(Writer& out, const Resource& attributes) {
  out.message(1, [&] {
    for (const auto& [key, text] : attributes) key_value(out, 1, key, text);
  });
}

void scope(Writer& out, std::string_view name, std::string_view version) {
  out.message(1, [&] {
    out.text(1, name);
    out.text(2, version);
  });
}

void span(Writer& out, const Trace& trace, const Span& s, uint64_t epoch_ns) {
  out.bytes(1, trace.trace_id);
  out.bytes(2, s.id);
  if (!trace.state.empty()) out.text(3, trace.state);
  if (s.parent != SpanId{}) out.bytes(4, s.parent);
  utf8(out, 5, s.name);
  out.varint(6, static_cast<uint64_t>(s.kind));
  out.fixed64(7, s.start_ns + epoch_ns);
  out.fixed64(8, s.end_ns + epoch_ns);
  for (const Attribute* a = s.attributes; a != nullptr; a = a->next) key_value(out, 9, a->key, a->value);
  if (!s.plugin.empty()) key_value(out, 9, kPluginKey, s.plugin);
  if (s.dropped_attributes != 0) out.varint(10, s.dropped_attributes);
  for (const Link* link = s.links; link != nullptr; link = link->next) {
    out.message(13, [&] {
      out.bytes(1, link->to.trace_id);
      out.bytes(2, link->to.span_id);
      out.fixed32(6, link->to.flags);
    });
  }
  if (s.failed) {
    out.message(15, [&] {
      if (!s.message.empty()) out.text(2, s.message);
      out.varint(3, 2);
    });
  }
  out.fixed32(16, span_flags(trace, s));
}

}  // namespace

std::string Encoder::traces_protobuf(std::span<const ExportedTrace> traces, uint64_t epoch_ns) const {
  Writer out;
  out.message(1, [&] {
    resource(out, resource_);
    out.message(2, [&] {
      scope(out, kScope, version_);
      for (const ExportedTrace& exported : traces)
        for (const Span* s = exported.first; s != nullptr; s = s->next)
          out.message(2, [&] { span(out, *exported.trace, *s, epoch_ns); });
    });
  });
  return out.take();
}

std::string Encoder::logs_protobuf(std::span<const LogRecord> records) const {
  Writer out;
  out.message(1, [&] {
    resource(out, resource_);
    out.message(2, [&] {
      scope(out, kScope, version_);
      for (const LogRecord& record : records) {
        out.message(2, [&] {
          out.fixed64(1, record.unix_ns);
          out.varint(2, static_cast<uint64_t>(severity_number(record.level)));
          out.text(3, severity_text(record.level));
          out.message(5, [&] { utf8(out, 1, record.message); });
          for (const auto& [key, v] : record.fields) key_value(out, 6, key, v);
          if (record.trace.trace_id != TraceId{}) {
            out.fixed32(8, record.trace.flags);
            out.bytes(9, record.trace.trace_id);
            out.bytes(10, record.trace.span_id);
          }
          out.fixed64(11, record.unix_ns);
        });
      }
    });
  });
  return out.take();
}

uint32_t span_flags(const Trace& trace, const Span& span) {
  constexpr uint32_t kHasIsRemote = 0x100, kIsRemote = 0x200;
  const bool remote = trace.remote && span.parent == trace.parent_id;
  return uint32_t{trace.flags} | kSampled | kHasIsRemote | (remote ? kIsRemote : 0u);
}

int severity_number(int32_t level) {
  constexpr int kNumbers[] = {1, 5, 9, 13, 17};
  return level >= BH_TRACE && level <= BH_ERROR ? kNumbers[level] : 0;
}

std::string_view severity_text(int32_t level) {
  constexpr std::string_view kTexts[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};
  return level >= BH_TRACE && level <= BH_ERROR ? kTexts[level] : "";
}

}  // namespace tracing
