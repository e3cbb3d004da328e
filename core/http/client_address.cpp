#include "core/http/client_address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "bulkhead/fields.hpp"
#include "core/exchange/text.hpp"

namespace bulkhead::http {

namespace {

constexpr unsigned kBits = 128, kMapped = 96;

// Either family as IPv6: an IPv4 address is its mapped form.
bool parse(std::string_view text, in6_addr* address) {
  const std::string copy(text);
  if (inet_pton(AF_INET6, copy.c_str(), address) == 1) return true;
  in_addr v4{};
  if (inet_pton(AF_INET, copy.c_str(), &v4) != 1) return false;
  *address = {};
  address->s6_addr[10] = address->s6_addr[11] = 0xff;
  std::memcpy(&address->s6_addr[12], &v4, sizeof v4);
  return true;
}

std::string text_of(const in6_addr& address) {
  char buffer[INET6_ADDRSTRLEN];
  if (IN6_IS_ADDR_V4MAPPED(&address))
    inet_ntop(AF_INET, &address.s6_addr[12], buffer, sizeof buffer);
  else
    inet_ntop(AF_INET6, &address, buffer, sizeof buffer);
  return buffer;
}

// "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]:4711". False for "unknown" and "_hidden" too.
bool parse_node(std::string_view node, in6_addr* address) {
  if (node.starts_with('[')) {
    const size_t close = node.find(']');
    return close != std::string_view::npos && parse(node.substr(1, close - 1), address);
  }
  if (std::count(node.begin(), node.end(), ':') == 1) node = node.substr(0, node.find(':'));
  return parse(node, address);
}

// The value of `for` in one element of Forwarded; "" where it has none.
std::string_view for_of(std::string_view element) {
  while (!element.empty()) {
    const size_t end = element.find(';');
    const std::string_view pair = trim_ows(element.substr(0, end));
    if (pair.size() > 4 && lowered(pair.substr(0, 4)) == "for=") {
      std::string_view value = pair.substr(4);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      return value;
    }
    if (end == std::string_view::npos) break;
    element.remove_prefix(end + 1);
  }
  return {};
}

// The last element of a list, which is cut off; a comma within quotes is none.
std::string_view take_last(std::string_view* list) {
  bool quoted = false;
  for (size_t i = list->size(); i > 0; --i) {
    const char c = (*list)[i - 1];
    if (c == '"') quoted = !quoted;
    if (c != ',' || quoted) continue;
    const std::string_view last = list->substr(i);
    *list = list->substr(0, i - 1);
    return trim_ows(last);
  }
  return trim_ows(std::exchange(*list, {}));
}

}  // namespace

bool is_loopback(std::string_view address) {
  const std::string_view host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

bool TrustedProxies::add(std::string_view text) {
  Network network{};
  const size_t slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  if (!parse(address, &network.address)) return false;
  const bool v4 = address.find(':') == std::string_view::npos;
  unsigned bits = v4 ? kBits - kMapped : kBits;
  if (slash != std::string_view::npos) {
    const std::string_view length = text.substr(slash + 1);
    unsigned given = 0;
    const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), given);
    if (error != std::errc() || end != length.data() + length.size() || length.empty() || given > bits) return false;
    bits = given;
  }
  network.bits = v4 ? kMapped + bits : bits;
  networks_.push_back(network);
  return true;
}

bool TrustedProxies::trusted(const in6_addr& address) const {
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    const unsigned whole = network.bits / 8, rest = network.bits % 8;
    if (std::memcmp(&address, &network.address, whole) != 0) return false;
    return rest == 0 || ((address.s6_addr[whole] ^ network.address.s6_addr[whole]) >> (8 - rest)) == 0;
  });
}

std::string TrustedProxies::client(std::string_view socket, std::span<const bh_pair> headers) const {
  in6_addr client{};
  if (networks_.empty() || !parse(socket, &client) || !trusted(client)) return std::string(socket);
  const std::string_view wanted = forwarded_ ? "forwarded" : "x-forwarded-for";
  for (size_t i = headers.size(); i > 0; --i) {
    if (view(headers[i - 1].name) != wanted) continue;
    for (std::string_view list = view(headers[i - 1].value); !list.empty();) {
      const std::string_view element = take_last(&list);
      in6_addr before{};
      if (!parse_node(forwarded_ ? for_of(element) : element, &before)) return text_of(client);
      client = before;
      if (!trusted(client)) return text_of(client);
    }
  }
  return text_of(client);
}

}  // namespace bulkhead::http
