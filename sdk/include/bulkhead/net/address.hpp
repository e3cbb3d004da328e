// bulkhead/net/address.hpp - callers by where they call from.
#ifndef BULKHEAD_NET_ADDRESS_HPP
#define BULKHEAD_NET_ADDRESS_HPP

#include <arpa/inet.h>

#include <string>
#include <string_view>

namespace bulkhead {

// What is counted as one caller: an IPv4 address as it is, also where it is written in IPv6
// (mapped, RFC 4291 §2.5.5.2; 64:ff9b::/96, RFC 6052; 6to4, RFC 3056); of another IPv6 address its
// first 64 bits, since a subscriber has all of the rest (RFC 6177), as "2001:db8:1:2::/64".
inline std::string caller_of(std::string_view address) {
  in6_addr parsed{};
  std::string text(address);
  if (address.find(':') == std::string_view::npos || inet_pton(AF_INET6, text.c_str(), &parsed) != 1) return text;
  const uint8_t* bytes = parsed.s6_addr;
  const auto starts = [bytes](std::string_view prefix) {
    return std::string_view(reinterpret_cast<const char*>(bytes), prefix.size()) == prefix;
  };
  using std::string_view_literals::operator""sv;
  const uint8_t* v4 = nullptr;
  if (IN6_IS_ADDR_V4MAPPED(&parsed) || starts("\0\x64\xff\x9b\0\0\0\0\0\0\0\0"sv))
    v4 = bytes + 12;
  else if (starts("\x20\x02"sv))
    v4 = bytes + 2;
  char buffer[INET6_ADDRSTRLEN];
  if (v4 != nullptr) return inet_ntop(AF_INET, v4, buffer, sizeof buffer);
  for (int i = 8; i < 16; ++i) parsed.s6_addr[i] = 0;
  inet_ntop(AF_INET6, &parsed, buffer, sizeof buffer);
  return std::string(buffer).append("/64");
}

}  // namespace bulkhead

#endif  // BULKHEAD_NET_ADDRESS_HPP
