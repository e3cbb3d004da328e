// Services: what plugins publish for each other, with leases.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "bulkhead/plugin.h"

namespace bulkhead::hosting {

class Instance;

struct Provider {
  uint32_t version = 0;
  const void* api = nullptr;
  void* self = nullptr;
  const Instance* owner = nullptr;
  std::atomic<size_t> leases{0};
};

// One consumer's use of a provider; keeps it counted until released.
struct Lease {
  std::shared_ptr<Provider> provider;
};

// [any] All of them.
class Services {
 public:
  // False if the id is taken.
  bool publish(std::string_view id, uint32_t version, const void* api, void* self, const Instance* owner);
  void withdraw(const Instance* owner);
  // Null and `error` where it is absent or too old.
  std::shared_ptr<Provider> find(std::string_view id, uint32_t min_version, std::string* error) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Provider>, std::less<>> providers_;
};

}  // namespace bulkhead::hosting
