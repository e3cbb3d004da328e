// Finds out who calls, at AUTHENTICATE: on the request's own thread where all is known, else without holding it up.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "attempts.hpp"
#include "bulkhead/plugin.hpp"
#include "credential.hpp"
#include "key_ring.hpp"
#include "key_store.hpp"
#include "settings.hpp"

namespace auth {

class Authenticator {
 public:
  // `changed`: what trouble() says may be another now. [any]
  Authenticator(bulkhead::Host host, const Settings& settings, std::function<void()> changed);

  // The database is there from `store` on: null ends it, after settle().
  void start(KeyStore* store);
  void stop();

  bh_flow authenticate(const bulkhead::Request& request);
  // "" or why some who should be known are not.
  std::string trouble() const;
  // A key was changed by this host: it need not wait to hear of it.
  void forget(const std::string& key_id) { ring_.drop(key_id); }

 private:
  using Time = std::chrono::steady_clock::time_point;
  // Goes on with a request that waited: an identity, or what is wrong.
  struct Outcome {
    Verdict verdict = Verdict::kUnknown;
    IdentityPtr identity;
    std::string why;
  };

  // A token that was found good, and with which keys: with others it is looked at again.
  struct Verified {
    IdentityPtr identity;
    const Issuer* issuer = nullptr;
    std::shared_ptr<const Keys> keys;
  };

  bh_flow by_certificate_or_nobody(const bulkhead::Request& request);
  bh_flow by_key(const bulkhead::Request& request, std::string_view text);
  bh_flow by_token(const bulkhead::Request& request, std::string_view text);
  Outcome check_token(const Token& token, const Digest256& digest, const Issuer& issuer, bool* unknown_key);
  // At once, or for an exchange that is held.
  bh_flow settle(const bulkhead::Request& request, const Outcome& outcome, std::string_view kind);
  void settle_later(const bulkhead::Request& request, const bulkhead::Exchange& held, const Outcome& outcome,
                    std::string_view kind);
  void identify(const bulkhead::Request& request, const Identity& identity);
  bulkhead::Response refusal(const bulkhead::Request& request, const Outcome& outcome, std::string_view kind);
  void count(std::string_view kind, Verdict verdict, bh_exchange* ex);
  std::string public_scope(const bulkhead::Request& request);
  void fetched(const Issuer& issuer, const std::string& error);
  static void rehash(const KeyStore& store, const KeyRecord& record, const Digest256& digest);
  void poll();
  void heard(bool good, const std::string& error);
  void note_used();

  const bulkhead::Host host_;
  const Settings settings_;
  Attempts attempts_;
  KeyRing ring_;
  DigestCache<Verified> tokens_;
  const std::function<void()> changed_;
  std::atomic<KeyStore*> store_{nullptr};
  std::atomic<bool> polling_{false}, unheard_{false};
  std::atomic<int64_t> ahead_ms_{0};        // of this host's clock, the database's
  std::atomic<int64_t> heard_until_ms_{0};  // the database's time of the last poll
  uint64_t poll_timer_ = 0, used_timer_ = 0;
  uint32_t attempts_metric_ = 0;
  std::array<std::atomic<uint32_t>, 4 * kVerdicts> series_{};  // by kind and verdict, resolved when first used
  std::mutex public_mutex_;                                    // what follows
  uint64_t public_generation_ = UINT64_MAX;
  std::unordered_map<std::string, std::string> public_scopes_;  // "GET /people" -> "people:read"
  std::mutex fetch_mutex_;
  std::unordered_map<std::string, std::string> fetch_errors_;
  std::vector<std::unique_ptr<Issuer>> issuers_;  // their threads reach what stands above
};

}  // namespace auth
