#include "core/http/client_address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "bulkhead/net/authority.hpp"
#include "bulkhead/text/ascii.hpp"
#include "bulkhead/text/fields.hpp"
#include "bulkhead/value.hpp"

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

// "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]:4711". False for "unknown" and
// "_hidden" too.
bool parse_node(std::string_view node, in6_addr* address) {
  if (node.starts_with('[')) {
    const size_t close = node.find(']');
    return close != std::string_view::npos && parse(node.substr(1, close - 1), address);
  }
  if (std::count(node.begin(), node.end(), ':') == 1) node = node.substr(0, node.find(':'));
  return parse(node, address);
}

// The value of a parameter in one element of Forwarded; "" where it has none.
std::string_view parameter_of(std::string_view element, std::string_view name) {
  while (!element.empty()) {
    const size_t end = element.find(';');
    const std::string_view pair = trim_ows(element.substr(0, end));
    if (pair.size() > name.size() + 1 && pair[name.size()] == '=' && lowered(pair.substr(0, name.size())) == name) {
      std::string_view value = pair.substr(name.size() + 1);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      return value;
    }
    if (end == std::string_view::npos) break;
    element.remove_prefix(end + 1);
  }
  return {};
}

// As a constant; "" for any other.
std::string_view known_scheme(std::string_view text) {
  return iequals(text, "https") ? std::string_view("https") : iequals(text, "http") ? std::string_view("http") : "";
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

// Calls `each(element)` for the elements of all fields of the name, the last one first, until it
// says false.
template <typename Each>
void for_each_from_last(std::span<const bh_pair> headers, std::string_view name, Each each) {
  for (size_t i = headers.size(); i > 0; --i) {
    if (to_view(headers[i - 1].name) != name) continue;
    for (std::string_view list = to_view(headers[i - 1].value); !list.empty();)
      if (!each(take_last(&list))) return;
  }
}

bool within(const in6_addr& address, const in6_addr& network, unsigned bits) {
  const unsigned whole = bits / 8, rest = bits % 8;
  if (std::memcmp(&address, &network, whole) != 0) return false;
  return rest == 0 || ((address.s6_addr[whole] ^ network.s6_addr[whole]) >> (8 - rest)) == 0;
}

// The bits behind the slash, at most `most`.
bool parse_length(std::string_view text, unsigned most, unsigned* bits) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *bits);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() && *bits <= most;
}

}  // namespace

bool Nat64::add(std::string_view text) {
  static constexpr unsigned kLengths[] = {32, 40, 48, 56, 64, 96};
  const size_t slash = text.find('/');
  Prefix prefix{};
  if (slash == std::string_view::npos || text.substr(0, slash).find(':') == std::string_view::npos ||
      !parse(text.substr(0, slash), &prefix.address) || !parse_length(text.substr(slash + 1), kBits, &prefix.bits) ||
      std::find(std::begin(kLengths), std::end(kLengths), prefix.bits) == std::end(kLengths))
    return false;
  prefixes_.push_back(prefix);
  return true;
}

std::string Nat64::translate(std::string_view text) const {
  static constexpr Prefix kWellKnown{{{{0x00, 0x64, 0xff, 0x9b}}}, 96};
  in6_addr address{};
  if (text.find(':') == std::string_view::npos || !parse(text, &address)) return std::string(text);
  const auto inside = [&](const Prefix& prefix) { return within(address, prefix.address, prefix.bits); };
  const auto own = std::find_if(prefixes_.begin(), prefixes_.end(), inside);
  if (own == prefixes_.end() && !inside(kWellKnown)) return std::string(text);
  // The four bytes follow the prefix and leave out bits 64 to 71 (RFC 6052 §2.2).
  std::array<uint8_t, 4> v4{};
  size_t from = (own == prefixes_.end() ? kWellKnown.bits : own->bits) / 8;
  for (uint8_t& byte : v4) {
    if (from == 8) ++from;
    byte = address.s6_addr[from++];
  }
  char buffer[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, v4.data(), buffer, sizeof buffer);
  return buffer;
}

bool is_loopback(std::string_view address) {
  if (address.starts_with("unix:")) return true;
  const std::string_view host = split_host_port(address).host;
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

bool TrustedProxies::add(std::string_view text) {
  if (text == kUnixPeer) return unix_ = true;
  Network network{};
  const size_t slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  if (!parse(address, &network.address)) return false;
  const bool v4 = address.find(':') == std::string_view::npos;
  unsigned bits = v4 ? kBits - kMapped : kBits;
  if (slash != std::string_view::npos && !parse_length(text.substr(slash + 1), bits, &bits)) return false;
  network.bits = v4 ? kMapped + bits : bits;
  networks_.push_back(network);
  return true;
}

bool TrustedProxies::trusted(const in6_addr& address) const {
  return std::any_of(networks_.begin(), networks_.end(),
                     [&](const Network& network) { return within(address, network.address, network.bits); });
}

TrustedProxies::Client TrustedProxies::client(std::string_view socket, std::span<const bh_pair> headers) const {
  in6_addr address{};
  const bool trust = socket == kUnixPeer ? unix_ : parse(socket, &address) && trusted(address);
  if (!trust) return {std::string(socket), {}};
  return forwarded_ ? by_forwarded(socket, headers) : by_x_forwarded(socket, headers);
}

TrustedProxies::Client TrustedProxies::by_forwarded(std::string_view socket, std::span<const bh_pair> headers) const {
  Client client{std::string(socket), {}};
  for_each_from_last(headers, "forwarded", [&](std::string_view element) {
    if (const std::string_view named = known_scheme(parameter_of(element, "proto")); !named.empty())
      client.scheme = named;
    in6_addr before{};
    if (!parse_node(parameter_of(element, "for"), &before)) return false;
    client.address = text_of(before);
    return trusted(before);
  });
  return client;
}

TrustedProxies::Client TrustedProxies::by_x_forwarded(std::string_view socket, std::span<const bh_pair> headers) const {
  Client client{std::string(socket), {}};
  size_t hops = 0;
  for_each_from_last(headers, "x-forwarded-for", [&](std::string_view element) {
    in6_addr before{};
    if (!parse_node(element, &before)) return false;
    client.address = text_of(before);
    ++hops;
    return trusted(before);
  });
  // The scheme of the hop that named the caller. Most proxies set the field and do not append to
  // it: a list that is shorter ends there.
  size_t seen = 0;
  for_each_from_last(headers, "x-forwarded-proto", [&](std::string_view element) {
    client.scheme = known_scheme(element);
    return ++seen < std::max<size_t>(hops, 1);
  });
  return client;
}

}  // namespace bulkhead::http
