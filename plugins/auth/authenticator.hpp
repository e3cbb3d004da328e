// Authenticator: identifies the caller, at AUTHENTICATE. On the request's own thread where the
// credential is cached, else asynchronously.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "access_tokens.hpp"
#include "api_keys.hpp"
#include "attempts.hpp"
#include "bulkhead/extensions/introspect.hpp"
#include "bulkhead/plugin.hpp"
#include "certificates.hpp"
#include "credential.hpp"
#include "settings.hpp"

namespace auth {

class Authenticator {
 public:
  // `changed`: what trouble() says may be another now. [any]
  Authenticator(bulkhead::Host host, const Settings& settings, std::function<void()> changed);

  // `store`: null where API keys are off.
  void start(KeyStore* store);
  void stop();

  bh_flow authenticate(const bulkhead::Request& request);
  // "" or why some callers cannot be authenticated now.
  std::string trouble() const { return tokens_.trouble(); }
  // A key was changed by this host: it need not wait to hear of it.
  void forget(const std::string& key_id) { keys_.forget(key_id); }

 private:
  bh_flow by(Verifier& verifier, const bulkhead::Request& request, std::string_view credential);
  bulkhead::Task<bh_flow> by_asking(Verifier& verifier, bulkhead::Request request, std::string_view credential);
  bh_flow by_certificate_or_nobody(const bulkhead::Request& request);
  bh_flow settle(const bulkhead::Request& request, const Verifier& verifier, const Outcome& outcome);
  bh_flow refuse(const bulkhead::Request& request, std::string_view kind, const Outcome& outcome);
  void identify(const bulkhead::Request& request, const Identity& identity);
  void count(std::string_view kind, Verdict verdict, bh_exchange* ex);
  std::string public_scope(const bulkhead::Request& request);

  const bulkhead::Host host_;
  const Settings settings_;
  Attempts attempts_;
  const bulkhead::Introspection introspection_;
  uint32_t attempts_metric_ = 0;
  std::array<std::atomic<uint32_t>, 4 * kVerdicts> series_{};  // by kind and verdict, resolved when first used
  std::mutex public_mutex_;                                    // what follows
  uint64_t public_generation_ = UINT64_MAX;
  std::unordered_map<std::string, std::string> public_scopes_;  // "GET /people" -> "people:read"
  ApiKeys keys_;
  Certificates certificates_;
  AccessTokens tokens_;  // its threads reach what stands above
};

}  // namespace auth
