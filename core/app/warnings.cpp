#include "core/app/warnings.hpp"

#include "core/http/client_address.hpp"

namespace bulkhead::app {

std::vector<std::string> unsafe_settings(const config::Config& config) {
  std::vector<std::string> warnings;
  for (const config::ListenerEntry& entry : config.listen) {
    if (http::is_loopback(entry.address)) continue;
    const std::string place = entry.pointer + ": " + entry.address;
    if (!config.enforce_scopes)
      warnings.push_back(place +
                         " is reachable from elsewhere and server.scopes is ignore: every caller may read and write; "
                         "enforce scopes and configure the plugin auth");
    if (!entry.tls && config.http.proxies.empty())
      warnings.push_back(place +
                         " speaks plain HTTP and no proxy is trusted: give it tls, or list in server.trusted_proxies "
                         "the proxy that terminates TLS");
  }
  if (config.admin && !http::is_loopback(config.admin->address) && !config.admin->tls)
    warnings.push_back(config.admin->pointer + ": " + config.admin->address +
                       " takes credentials over plain HTTP; give it tls, or listen on 127.0.0.1");
  return warnings;
}

}  // namespace bulkhead::app
