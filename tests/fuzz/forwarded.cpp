// X-Forwarded-For and Forwarded: the result is an address, and one that a trusted proxy wrote.
#include <arpa/inet.h>

#include "core/http/client_address.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool standard : {false, true}) {
    bulkhead::http::TrustedProxies proxies;
    proxies.add("10.0.0.0/8");
    proxies.use_forwarded(standard);
    const std::string_view name = standard ? "forwarded" : "x-forwarded-for",
                           more = standard ? ", for=192.0.2.7" : ", 192.0.2.7";
    const bh_pair header{{name.data(), name.size()}, {text.data(), text.size()}};
    const std::string found = proxies.client("10.0.0.1", {&header, 1}).address;
    in6_addr parsed{};
    fuzz::expect(found.size() <= 45 && (inet_pton(AF_INET, found.c_str(), &parsed) == 1 ||
                                        inet_pton(AF_INET6, found.c_str(), &parsed) == 1),
                 "an address");
    fuzz::expect(proxies.client("192.0.2.1", {&header, 1}).address == "192.0.2.1", "a stranger's word");
    // What our proxy adds at the end is the answer, whatever stands before it; an open quote hides
    // it, and then the proxy counts.
    const std::string whole = std::string(text) + std::string(more);
    const bh_pair added{{name.data(), name.size()}, {whole.data(), whole.size()}};
    fuzz::expect(proxies.client("10.0.0.1", {&added, 1}).address == "192.0.2.7", "the proxy's own word");
  }
  bulkhead::http::TrustedProxies networks;
  networks.add(text);
  return 0;
}
