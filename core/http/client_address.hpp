// Whose request it is where proxies stand between: RFC 7239 Forwarded, or X-Forwarded-For.
//
// Every proxy adds the address it was called from at the end. So the list is read from its end, as long as who wrote is
// trusted; what stands before that anybody may have written.
#pragma once

#include <netinet/in.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.h"

namespace bulkhead::http {

class TrustedProxies {
 public:
  // An address or a network: "10.0.0.7", "10.0.0.0/8", "fd00::/8". False where it is neither.
  bool add(std::string_view text);
  // The field that the proxies write: of two, one would be the caller's own words.
  void use_forwarded(bool forwarded) { forwarded_ = forwarded; }
  bool empty() const { return networks_.empty(); }

  // The caller's address in its usual form, at most 45 characters; `socket` where that is no trusted proxy, or names
  // nobody.
  std::string client(std::string_view socket, std::span<const bh_pair> headers) const;

 private:
  struct Network {
    in6_addr address;
    unsigned bits;
  };
  bool trusted(const in6_addr& address) const;

  std::vector<Network> networks_;
  bool forwarded_ = false;
};

// Of a listener's "HOST:PORT": whether only this machine reaches it.
bool is_loopback(std::string_view address);

}  // namespace bulkhead::http
