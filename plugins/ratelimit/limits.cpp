#include "limits.hpp"

#include <algorithm>

#include "bulkhead/text/glob.hpp"

namespace ratelimit {

using bulkhead::Failure;
using ratelimit_config::Config;

namespace {
constexpr double kLongestBurstUs = 10 * 365 * 86'400e6;
}

bool Limit::covers(std::string_view method, std::string_view route) const {
  const auto lists = [this](std::string_view one) {
    return std::find(methods.begin(), methods.end(), one) != methods.end();
  };
  // HEAD runs what GET does.
  if (!methods.empty() && !lists(method) && !(method == "HEAD" && lists("GET"))) return false;
  return bulkhead::glob_match(routes, route);
}

std::vector<Limit> read_limits(const Config& config) {
  std::vector<Limit> limits;
  const auto& list = config.limits;
  for (size_t i = 0; i < list.size(); ++i) {
    const Config::Limit& entry = list[i];
    const std::string pointer = "/limits/" + std::to_string(i);
    Limit limit;
    limit.name = entry.name;
    limit.routes = entry.routes;
    limit.methods = entry.methods;
    const std::string& by = entry.by;
    limit.by = by == "address" ? By::kAddress : by == "identity" ? By::kIdentity : By::kRoute;
    limit.per_route = entry.per_route || limit.by == By::kRoute;
    limit.requests = entry.requests;
    limit.window_s = entry.per_s;
    limit.burst = entry.burst.value_or(entry.requests);
    if (limit.interval_us() < 1)
      throw Failure(BH_E_CONFIG, pointer + "/requests: more than a million a second is no limit");
    if (limit.interval_us() * static_cast<double>(limit.burst) > kLongestBurstUs)
      throw Failure(BH_E_CONFIG, pointer + "/burst: would take more than ten years to refill");
    for (const Limit& other : limits)
      if (other.name == limit.name)
        throw Failure(BH_E_CONFIG, pointer + "/name: '" + limit.name + "' is taken by another limit");
    limit.policy =
        "\"" + limit.name + "\";q=" + std::to_string(limit.requests) + ";w=" + std::to_string(limit.window_s);
    limits.push_back(std::move(limit));
  }
  return limits;
}

}  // namespace ratelimit
