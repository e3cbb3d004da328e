#include "core/hosting/services.hpp"

namespace bulkhead::hosting {

bool Services::publish(std::string_view id, uint32_t version, const void* api, void* self, const Instance* owner) {
  auto provider = std::make_shared<Provider>();
  provider->version = version;
  provider->api = api;
  provider->self = self;
  provider->owner = owner;
  const std::lock_guard lock(mutex_);
  return providers_.emplace(id, std::move(provider)).second;
}

void Services::withdraw(const Instance* owner) {
  const std::lock_guard lock(mutex_);
  std::erase_if(providers_, [&](const auto& entry) { return entry.second->owner == owner; });
}

std::shared_ptr<Provider> Services::find(std::string_view id, uint32_t min_version, std::string* error) const {
  const std::lock_guard lock(mutex_);
  const auto it = providers_.find(id);
  if (it == providers_.end()) {
    *error = "no plugin publishes " + std::string(id);
    return nullptr;
  }
  if (it->second->version < min_version) {
    *error = std::string(id) + " is published in version " + std::to_string(it->second->version) + ", version " +
             std::to_string(min_version) + " is wanted";
    return nullptr;
  }
  return it->second;
}

}  // namespace bulkhead::hosting
