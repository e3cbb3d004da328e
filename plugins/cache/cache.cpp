// The cache plugin: answers to GET, kept until what they were made of changes.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/cache.h"
#include "bulkhead/services/sql.h"
#include "bulkhead/text/glob.hpp"
#include "cache_config.hpp"
#include "cache_embedded.hpp"
#include "fetch.hpp"

namespace cache {

using cache_config::Config;

namespace {

Settings read_settings(const Config& config) {
  Settings settings;
  settings.memory_bytes = size_t{config.memory_mb} * 1024 * 1024;
  settings.service = config.service;
  settings.redis_timeout_ms = config.redis_timeout_ms;
  if (const std::string& url = config.redis; !url.empty()) {
    if (const std::string wrong = bulkhead::parse_redis_url(url, &settings.redis_url); !wrong.empty())
      throw bulkhead::Failure(BH_E_CONFIG, "/redis: " + wrong);
    settings.redis = true;
  }
  return settings;
}

}  // namespace

class Cache : public bulkhead::Plugin {
 public:
  Cache(bulkhead::Host h, const Config& config) : Plugin(h), fetch_(h, read_settings(config)) {
    for (const Config::Route& each : config.routes) {
      auto route = std::make_unique<Route>();
      route->pattern = each.route;
      route->ttl_ns = static_cast<uint64_t>(each.ttl_s * 1e9);
      route->cache_control = each.cache_control;
      route->per_identity = each.per_identity;
      hook(
          BH_PREPARE,
          [this, i = routes_.size()](const bulkhead::Request& request) {
            return reads(request) && mine(request, i) ? fetch_.prepare(request, *routes_[i]) : bh_flow{BH_NEXT};
          },
          route->pattern);
      hook(
          BH_RESPOND,
          [this, i = routes_.size()](const bulkhead::Request& request) {
            if (mine(request, i)) reads(request) ? fetch_.respond(request, *routes_[i]) : fetch_.written(request);
            return bh_flow{BH_NEXT};
          },
          route->pattern);
      routes_.push_back(std::move(route));
    }
    api_.invalidate = [](void* self, const bh_str* tags, size_t count) {
      Fetch& fetch = static_cast<Cache*>(self)->fetch_;
      try {
        fetch.changed(tags, count);
      } catch (const std::exception&) {  // no memory to say what: then it was everything
        fetch.all_changed();
      }
    };
    h.publish(BH_CACHE_ID, BH_CACHE_VERSION, &api_, this);
  }

  void start() override { fetch_.start(); }
  void quiesce() override { fetch_.quiesce(); }
  void stop() override { fetch_.stop(); }

 private:
  static bool reads(const bulkhead::Request& request) {
    return request.method() == "GET" || request.method() == "HEAD";
  }
  // Whether no earlier pattern matches its route as well.
  bool mine(const bulkhead::Request& request, size_t index) const {
    return std::none_of(routes_.begin(), routes_.begin() + static_cast<std::ptrdiff_t>(index),
                        [&](const auto& route) { return bulkhead::glob_match(route->pattern, request.route()); });
  }

  std::vector<std::unique_ptr<Route>> routes_;
  Fetch fetch_;
  bh_cache api_ = bulkhead::sized<bh_cache>();
};

constexpr bh_need kNeeds[] = {bulkhead::service(BH_SQL_ID, BH_SQL_VERSION, true)};
constexpr bh_need kOffers[] = {bulkhead::service(BH_CACHE_ID, BH_CACHE_VERSION)};
constexpr bh_str kGrants[] = {bulkhead::to_str("service:bh.sql")};
// The last to see a request and the first to see its answer: plugins that refuse, count or change
// answers for one caller come before it.
constexpr bh_str kAfter[] = {bulkhead::to_str("accesslog"),        bulkhead::to_str("auth"),
                             bulkhead::to_str("compression"),      bulkhead::to_str("cors"),
                             bulkhead::to_str("metrics"),          bulkhead::to_str("ratelimit"),
                             bulkhead::to_str("security-headers"), bulkhead::to_str("tracing")};

}  // namespace cache

BULKHEAD_PLUGIN(cache::Cache, "cache", "1.0.0", "Caches responses to GET until their data changes.",
                .schema = cache_embedded::schema_json, .needs = cache::kNeeds, .offers = cache::kOffers,
                .grants = cache::kGrants, .after = cache::kAfter)
