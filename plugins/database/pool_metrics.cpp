#include "pool_metrics.hpp"

namespace database {

PoolMetrics::PoolMetrics(const bulkhead::Host& host, std::string_view service) : host_(host) {
  static constexpr std::array<double, 4> kBuckets = {.001, .01, .1, 1};
  static constexpr std::array<double, 8> kSizes = {1, 2, 4, 8, 16, 32, 64, 128};
  static constexpr std::array<std::string_view, 1> kService = {"service"}, kType = {"query_type"};
  // In the order of JobKind.
  static constexpr std::array<std::string_view, kJobKinds> kKinds = {"select", "insert",      "update",
                                                                     "delete", "transaction", "lookup"};
  static constexpr std::array<std::string_view, 2> kTogether = {"lookup", "write"};
  size_ = host_.series(host_.metric(BH_GAUGE, "db_pool_size", "Connected database sessions.", kService), {&service, 1});
  available_ = host_.series(
      host_.metric(BH_GAUGE, "db_pool_available_connections", "Connected database sessions that are idle.", kService),
      {&service, 1});
  const uint32_t latency = host_.metric(BH_HISTOGRAM, "db_query_latency_seconds",
                                        "Time from sending a query to its result.", kType, kBuckets);
  for (size_t i = 0; i < kKinds.size(); ++i) latency_[i] = host_.series(latency, {&kKinds[i], 1});
  const uint32_t sizes =
      host_.metric(BH_HISTOGRAM, "db_batch_size", "Lookups of one query, writes of one transaction.", kType, kSizes);
  for (size_t i = 0; i < kTogether.size(); ++i) together_[i] = host_.series(sizes, {&kTogether[i], 1});
}

}  // namespace database
