// bulkhead/services/cache.hpp - C++20 over services/cache.h, for plugins that change what answers
// are made of.
#ifndef BULKHEAD_SERVICES_CACHE_HPP
#define BULKHEAD_SERVICES_CACHE_HPP

#include <array>
#include <optional>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/cache.h"

namespace bulkhead {

// Does nothing where no cache is loaded. Declare the need as optional, and the grant.
class CacheTags {
 public:
  CacheTags() = default;
  explicit CacheTags(const Host& host) {
    try {
      service_ = host.acquire<bh_cache>(BH_CACHE_ID, BH_CACHE_VERSION);
    } catch (const Failure& failure) {
      if (failure.code != BH_E_UNAVAILABLE) throw;
    }
  }

  // Whether answers need a Surrogate-Key at all.
  bool wanted() const { return static_cast<bool>(service_); }
  // After the change is durable, or may be. Any thread.
  template <size_t N>
  void invalidate(const std::array<std::string_view, N>& tags) const {
    if (!service_) return;
    std::array<bh_str, N> list;
    for (size_t i = 0; i < N; ++i) list[i] = to_str(tags[i]);
    service_->invalidate(service_.self(), list.data(), N);
  }

 private:
  Service<bh_cache> service_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_SERVICES_CACHE_HPP
