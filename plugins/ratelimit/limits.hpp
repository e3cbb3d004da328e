// The limits as they are configured.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "gcra.hpp"
#include "ratelimit_config.hpp"

namespace ratelimit {

enum class By : uint8_t { kAddress, kIdentity, kRoute };

struct Limit {
  std::string name, routes;          // routes: glob, "" = all, unmatched requests included
  std::vector<std::string> methods;  // none = all
  By by = By::kAddress;
  bool per_route = false;  // each route pattern has its own count
  int64_t requests = 0, window_s = 1, burst = 1;
  std::string policy;  // its item of RateLimit-Policy

  Rate rate() const { return {window_s * 1'000'000'000 / requests, burst}; }  // nanoseconds
  double interval_us() const { return static_cast<double>(window_s) * 1e6 / static_cast<double>(requests); }
  bool covers(std::string_view method, std::string_view route) const;
};

// Throws Failure(BH_E_CONFIG) with pointer and remedy.
std::vector<Limit> read_limits(const ratelimit_config::Config& config);

}  // namespace ratelimit
