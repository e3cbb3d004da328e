#include "attempts.hpp"

#include <algorithm>
#include <cmath>

#include "bulkhead/net/address.hpp"

namespace auth {

namespace {
constexpr double kWindowNs = 60e9;
}

double Attempts::level(const Bucket& bucket, uint64_t now_ns) const {
  const double passed = now_ns > bucket.at_ns ? static_cast<double>(now_ns - bucket.at_ns) : 0;
  return std::max(0.0, bucket.used - passed * limit_ / kWindowNs);
}

uint32_t Attempts::blocked_for_s(std::string_view address, uint64_t now_ns) {
  if (now_ns >= blocked_until_ns_.load(std::memory_order_acquire)) return 0;
  const std::lock_guard lock(mutex_);
  const auto found = buckets_.find(bulkhead::caller_of(address));
  if (found == buckets_.end()) return 0;
  const double over = level(found->second, now_ns) - (limit_ - 1);
  return over <= 0 ? 0 : static_cast<uint32_t>(std::ceil(over * kWindowNs / limit_ / 1e9));
}

bool Attempts::failed(std::string_view address, uint64_t now_ns) {
  if (limit_ == 0) return false;
  const std::lock_guard lock(mutex_);
  if (buckets_.size() >= kMaxAddresses) {
    std::erase_if(buckets_, [&](const auto& each) { return level(each.second, now_ns) <= 0; });
    // Still full: an attack from everywhere. Those that failed least are forgotten first.
    for (double least = 1; buckets_.size() >= kMaxAddresses; least *= 2)
      std::erase_if(buckets_, [&](const auto& each) { return level(each.second, now_ns) <= least; });
  }
  Bucket& bucket = buckets_[bulkhead::caller_of(address)];
  const double before = level(bucket, now_ns);
  bucket.used = std::min<double>(before + 1, 2.0 * limit_);
  bucket.at_ns = now_ns;
  if (const double over = bucket.used - (limit_ - 1); over > 0) {
    const uint64_t until = now_ns + static_cast<uint64_t>(over * kWindowNs / limit_);
    blocked_until_ns_.store(std::max(until, blocked_until_ns_.load(std::memory_order_relaxed)),
                            std::memory_order_release);
  }
  return before <= limit_ - 1 && bucket.used > limit_ - 1;
}

}  // namespace auth
