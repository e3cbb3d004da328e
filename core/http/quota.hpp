// Quota: how many of a thing all I/O threads may have at once. [any]
#pragma once

#include <atomic>
#include <cstddef>

namespace bulkhead::http {

class Quota {
 public:
  explicit Quota(size_t limit) : limit_(limit) {}

  // False where the limit, and `spare` past it, would be exceeded.
  bool take(size_t count, size_t spare = 0) {
    if (used_.fetch_add(count, std::memory_order_acq_rel) + count <= limit_ + spare) return true;
    give(count);
    return false;
  }
  void give(size_t count) { used_.fetch_sub(count, std::memory_order_acq_rel); }
  size_t used() const { return used_.load(std::memory_order_acquire); }

 private:
  const size_t limit_;
  std::atomic<size_t> used_{0};
};

}  // namespace bulkhead::http
