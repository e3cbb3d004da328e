#include "server_span.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "bulkhead/net/authority.hpp"
#include "bulkhead/text/redact.hpp"

namespace tracing {

namespace {

bool known_method(std::string_view method) {
  constexpr std::array<std::string_view, 9> kKnown = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                                      "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  return std::find(kKnown.begin(), kKnown.end(), method) != kKnown.end();
}

}  // namespace

std::string server_span_name(const bulkhead::Request& request) {
  const std::string_view method = known_method(request.method()) ? request.method() : "HTTP";
  std::string name(method);
  if (!request.route().empty()) name.append(" ").append(request.route());
  return name;
}

void describe_server_span(Trace& trace, Span& span, const bulkhead::Request& request, const bulkhead::Outcome& outcome,
                          std::span<const std::string> redact_query) {
  const auto text = [&](std::string_view key, std::string_view value) {
    if (value.empty()) return;
    bh_value v{};
    v.kind = BH_TEXT;
    v.as.s = bulkhead::to_str(value);
    trace.tag(span, key, v);
  };
  const auto number = [&](std::string_view key, int64_t value) {
    bh_value v{};
    v.kind = BH_INT;
    v.as.i = value;
    trace.tag(span, key, v);
  };
  if (known_method(request.method())) {
    text("http.request.method", request.method());
  } else {
    text("http.request.method", "_OTHER");
    text("http.request.method_original", request.method());
  }
  text("url.path", request.path_as_sent());
  if (!request.query().empty()) {
    std::string query;
    bulkhead::redact_query(request.query(), redact_query, &query);
    text("url.query", query);
  }
  text("url.scheme", request.scheme());
  text("http.route", request.route());
  number("http.response.status_code", outcome.status);
  if (outcome.status >= 500) {
    char digits[8];
    text("error.type", {digits, std::to_chars(digits, digits + sizeof digits, outcome.status).ptr});
  }
  const bulkhead::HostPort server = bulkhead::split_host_port(request.authority());
  text("server.address", server.host);
  if (server.port)
    if (const auto port = bulkhead::parse_port(*server.port)) number("server.port", *port);
  text("client.address", request.peer());
  text("network.peer.address", request.socket_peer());
  number("network.peer.port", request.socket_port());
  text("network.protocol.version", request.http_version() == 10 ? "1.0" : "1.1");
  text("user_agent.original", request.header("user-agent"));
  number("http.response.body.size", static_cast<int64_t>(outcome.body.size()));
  text("bulkhead.request_id", request.id());
  // Whose answer it is: the way from a trace to the plugin.
  text("bulkhead.author", !outcome.author.empty() ? outcome.author : "host");
}

}  // namespace tracing
