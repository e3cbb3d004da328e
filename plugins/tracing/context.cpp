#include "context.hpp"

#include <algorithm>

#include "bulkhead/http.hpp"

namespace tracing {

using bulkhead::to_view;

namespace {

constexpr size_t kStateMembers = 32, kStateBytes = 512, kStateLongMember = 128;
constexpr size_t kBaggageMembers = 64, kBaggageBytes = 8192;

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Lower case only, as the text has it.
int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool all_zero(std::span<const uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// key = ( lcalpha / DIGIT ) 0*255 ( lcalpha / DIGIT / "_" / "-"/ "*" / "/" / "@" )
bool state_key(std::string_view key) {
  return !key.empty() && key.size() <= 256 && lower_or_digit(key[0]) && std::all_of(key.begin(), key.end(), [](char c) {
    return lower_or_digit(c) || c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
  });
}

bool state_value(std::string_view value) {
  return !value.empty() && value.size() <= 256 && value.back() != ' ' &&
         std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c <= 0x7e && c != ',' && c != '='; });
}

bool token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// baggage-octet: printable ASCII but for space, quote, comma, semicolon, backslash.
bool baggage_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\'; });
}

bool baggage_member(std::string_view member) {
  bool first = true;
  while (true) {
    const size_t end = member.find(';');
    const std::string_view part = trim(member.substr(0, end));
    const size_t equals = part.find('=');
    const std::string_view key = trim(part.substr(0, equals));
    if (!token(key) || (first && equals == std::string_view::npos)) return false;
    if (equals != std::string_view::npos && !baggage_value(trim(part.substr(equals + 1)))) return false;
    if (end == std::string_view::npos) return true;
    member.remove_prefix(end + 1);
    first = false;
  }
}

// Calls `each` with every member that is not empty; stops and returns false where it does.
template <typename Each>
bool for_members(std::span<const bh_pair> headers, std::string_view name, Each each) {
  for (const bh_pair& header : headers) {
    if (to_view(header.name) != name) continue;
    std::string_view list = to_view(header.value);
    while (true) {
      const size_t comma = list.find(',');
      const std::string_view member = trim(list.substr(0, comma));
      if (!member.empty() && !each(member)) return false;
      if (comma == std::string_view::npos) break;
      list.remove_prefix(comma + 1);
    }
  }
  return true;
}

}  // namespace

std::optional<TraceParent> parse_traceparent(std::string_view text) {
  text = trim(text);
  std::array<uint8_t, 1> version{}, flags{};
  TraceParent parent;
  if (text.size() < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return {};
  if (!unhex(text.substr(0, 2), version) || version[0] == 0xff) return {};
  if (version[0] == 0 ? text.size() != 55 : text.size() > 55 && text[55] != '-') return {};
  if (!unhex(text.substr(3, 32), parent.trace_id) || !unhex(text.substr(36, 16), parent.span_id) ||
      !unhex(text.substr(53, 2), flags))
    return {};
  if (all_zero(parent.trace_id) || all_zero(parent.span_id)) return {};
  parent.flags = flags[0] & (kSampled | kRandom);
  return parent;
}

bool unhex(std::string_view text, std::span<uint8_t> out) {
  if (text.size() != 2 * out.size()) return false;
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return true;
}

void write_traceparent(const TraceParent& parent, char (&out)[56]) {
  out[0] = out[1] = '0';
  hex(parent.trace_id, out + 3);
  hex(parent.span_id, out + 36);
  hex({&parent.flags, 1}, out + 53);
  out[2] = out[35] = out[52] = '-';
  out[55] = '\0';
}

std::string join_tracestate(std::span<const bh_pair> headers) {
  struct Member {
    std::string_view text, key;
  };
  std::array<Member, kStateMembers> members;
  size_t count = 0;
  const bool good = for_members(headers, "tracestate", [&](std::string_view text) {
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = text.substr(0, equals);
    if (!state_key(key) || !state_value(text.substr(equals + 1))) return false;
    if (std::any_of(members.begin(), members.begin() + static_cast<ptrdiff_t>(count),
                    [key](const Member& member) { return member.key == key; }))
      return true;  // the first one is the newest (§3.3.1.3)
    if (count == members.size()) return false;
    members[count++] = {text, key};
    return true;
  });
  if (!good || count == 0) return {};
  size_t bytes = count - 1;
  for (size_t i = 0; i < count; ++i) bytes += members[i].text.size();
  // Longer than other systems must propagate (W3C trace-context §3.3.1.5): members over 128
  // characters go first, then those at the end.
  const auto drop = [&](size_t i) {
    bytes -= members[i].text.size() + 1;
    std::move(members.begin() + static_cast<ptrdiff_t>(i) + 1, members.begin() + static_cast<ptrdiff_t>(count),
              members.begin() + static_cast<ptrdiff_t>(i));
    --count;
  };
  for (size_t i = count; i-- > 0 && bytes > kStateBytes;)
    if (members[i].text.size() > kStateLongMember) drop(i);
  while (bytes > kStateBytes && count > 0) drop(count - 1);
  std::string joined;
  for (size_t i = 0; i < count; ++i) joined.append(joined.empty() ? "" : ",").append(members[i].text);
  return joined;
}

std::string join_baggage(std::span<const bh_pair> headers) {
  std::string joined;
  size_t count = 0;
  const bool good = for_members(headers, "baggage", [&](std::string_view text) {
    if (!baggage_member(text)) return false;
    if (count == kBaggageMembers || joined.size() + text.size() + 1 > kBaggageBytes) return true;
    joined.append(joined.empty() ? "" : ",").append(text);
    ++count;
    return true;
  });
  return good ? joined : std::string();
}

}  // namespace tracing
