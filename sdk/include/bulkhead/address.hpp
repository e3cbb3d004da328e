// bulkhead/address.hpp - callers by where they call from.
#ifndef BULKHEAD_ADDRESS_HPP
#define BULKHEAD_ADDRESS_HPP

#include <arpa/inet.h>

#include <string>
#include <string_view>

namespace bulkhead {

// What is counted as one caller: an IPv4 address as it is; of an IPv6 address its first 64 bits, since a subscriber
// has all of the rest (RFC 6177), as "2001:db8:1:2::/64".
inline std::string caller_of(std::string_view address) {
  in6_addr parsed{};
  std::string text(address);
  if (address.find(':') == std::string_view::npos || inet_pton(AF_INET6, text.c_str(), &parsed) != 1 ||
      IN6_IS_ADDR_V4MAPPED(&parsed))
    return text;
  for (int i = 8; i < 16; ++i) parsed.s6_addr[i] = 0;
  char buffer[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &parsed, buffer, sizeof buffer);
  return std::string(buffer).append("/64");
}

}  // namespace bulkhead

#endif  // BULKHEAD_ADDRESS_HPP
