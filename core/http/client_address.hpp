// The caller's address and scheme behind trusted proxies: RFC 7239 Forwarded, or X-Forwarded-For
// and X-Forwarded-Proto.
//
// Every proxy appends the address that called it. So the list is read from its end, as long as the
// writer is trusted; what stands before that may be forged.
#pragma once

#include <netinet/in.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.h"

namespace bulkhead::http {

// The address of a caller by a unix socket.
inline constexpr std::string_view kUnixPeer = "unix:";

// IPv6 addresses that stand for an IPv4 address behind a translator (RFC 6052). 64:ff9b::/96 is
// always one of the prefixes.
class Nat64 {
 public:
  // A prefix of 32, 40, 48, 56, 64 or 96 bits: "2001:db8:64::/96". False for anything else.
  bool add(std::string_view text);
  // The IPv4 address within; any other text comes back as it is.
  std::string translate(std::string_view address) const;

 private:
  struct Prefix {
    in6_addr address;
    unsigned bits;
  };
  std::vector<Prefix> prefixes_;
};

class TrustedProxies {
 public:
  // An address or a network: "10.0.0.7", "10.0.0.0/8", "fd00::/8", or "unix:" for all who call by a
  // unix socket. False where it is none of them.
  bool add(std::string_view text);
  // The field that the proxies write: of two, one would be the caller's own words.
  void use_forwarded(bool forwarded) { forwarded_ = forwarded; }
  bool empty() const { return networks_.empty() && !unix_; }

  struct Client {
    std::string address;      // in its usual form, at most 45 characters
    std::string_view scheme;  // "http" or "https"; "" where no proxy names one
  };
  // The caller's address and the scheme it used, by the same hop. `socket` and no scheme where that
  // is no trusted proxy, or names no address.
  Client client(std::string_view socket, std::span<const bh_pair> headers) const;

 private:
  struct Network {
    in6_addr address;
    unsigned bits;
  };
  bool trusted(const in6_addr& address) const;
  Client by_forwarded(std::string_view socket, std::span<const bh_pair> headers) const;
  Client by_x_forwarded(std::string_view socket, std::span<const bh_pair> headers) const;

  std::vector<Network> networks_;
  bool forwarded_ = false, unix_ = false;
};

// Of a listener's "HOST:PORT" or "unix:PATH": whether only this machine reaches it.
bool is_loopback(std::string_view address);

}  // namespace bulkhead::http
