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

  // Routes. Answers come when the database has answered.
  void create(const bulkhead::Request& request, const bulkhead::Exchange& ex) const;
  void list(const bulkhead::Request& request, const bulkhead::Exchange& ex) const;
  void show(const bulkhead::Request& request, const bulkhead::Exchange& ex) const;
  void rotate(const bulkhead::Request& request, const bulkhead::Exchange& ex) const;
  void revoke(const bulkhead::Request& request, const bulkhead::Exchange& ex) const;

 private:
  // Finds the key of the route, which must be the caller's to see.
  void with_key(const bulkhead::Request& request, const bulkhead::Exchange& ex,
                std::function<void(const KeyRecord&)> then) const;
  void check_lifetime(int64_t lifetime_ms) const;

  const KeyStore& store_;
  const Settings& settings_;
  const Forget forget_;
};

}  // namespace auth
