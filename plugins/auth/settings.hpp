// The configuration, checked beyond its schema.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "auth_config.hpp"
#include "bulkhead/plugin.hpp"
#include "issuer.hpp"

namespace auth {

struct CertificateRule {
  std::string subject, scopes, tenant;
};

// "GET /people*"
struct PublicRoute {
  std::string method, route;  // method "" = all
};

// What hashes of keys are made with: the present one first, then those of before. [any]
class Peppers {
 public:
  using List = std::vector<std::string>;

  Peppers(List list, std::chrono::milliseconds patience)
      : patience_(patience),
        list_(std::make_shared<const List>(std::move(list))),
        before_(list_->size() > 1 ? (*list_)[1] : list_->front()) {}
  std::shared_ptr<const List> get() const {
    const std::lock_guard lock(mutex_);
    return list_;
  }
  // Those of before stay good, so that no key is lost by a change.
  void set(List list);
  // The one that new hashes are made with: a new one only once every host must have read it.
  std::string writing() const;
  // Whether keys that are kept under another one are to be kept under the first from now on.
  bool settled() const;

 private:
  using Clock = std::chrono::steady_clock;

  const std::chrono::milliseconds patience_;
  mutable std::mutex mutex_;  // what follows
  std::shared_ptr<const List> list_;
  std::string before_;  // what every host has, until the first of the list has settled
  Clock::time_point since_ = Clock::now();
};

struct Settings {
  std::vector<PublicRoute> public_routes;
  bool keys = true;
  std::shared_ptr<Peppers> peppers;
  size_t cached_keys = 0, cached_tokens = 0;
  uint64_t poll_ms = 400;
  std::chrono::milliseconds stale{60'000};
  int64_t max_lifetime_ms = 0;  // 0 = none
  // The wish, or the longest that is allowed.
  int64_t allowed_lifetime(int64_t wish_ms) const {
    const bool too_long = max_lifetime_ms != 0 && (wish_ms == 0 || wish_ms > max_lifetime_ms);
    return too_long ? max_lifetime_ms : wish_ms;
  }
  std::vector<IssuerSettings> issuers;
  std::vector<CertificateRule> certificates;
  uint32_t failures_per_minute = 30;
};

Peppers::List peppers_of(const auth_config::Config& config);
// Throws Failure(BH_E_CONFIG) with pointer and remedy.
Settings read_settings(const auth_config::Config& config);

}  // namespace auth
