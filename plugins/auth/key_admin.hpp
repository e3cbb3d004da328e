// The keys, managed over HTTP by callers with the scope keys:admin.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "key_store.hpp"
#include "settings.hpp"

namespace auth {

// What a new key is to be.
struct KeyWish {
  std::string name, scopes, tenant;
  int64_t lifetime_ms = 0;  // 0 = never ends
};

class KeyAdmin {
 public:
  using Forget = std::function<void(const std::string& id)>;

  KeyAdmin(const KeyStore& store, const Settings& settings, Forget forget)
      : store_(store), settings_(settings), forget_(std::move(forget)) {}

  // Steps of the routes.
  bulkhead::Task<bulkhead::Response> create(bulkhead::Request request) const;
  bulkhead::Task<bulkhead::Response> list(bulkhead::Request request) const;
  bulkhead::Task<bulkhead::Response> show(bulkhead::Request request) const;
  bulkhead::Task<bulkhead::Response> rotate(bulkhead::Request request) const;
  bulkhead::Task<bulkhead::Response> revoke(bulkhead::Request request) const;

 private:
  // The key of the route, which must be the caller's to see.
  bulkhead::Task<KeyRecord> key_of(bulkhead::Request request) const;
  void check_lifetime(int64_t lifetime_ms) const;

  const KeyStore& store_;
  const Settings& settings_;
  const Forget forget_;
};

}  // namespace auth
