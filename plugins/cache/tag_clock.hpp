// TagClock: when what belongs to a tag changed last.
//
// An answer remembers when the reading for it began; it holds while none of its tags has changed
// since. So nothing has to be found and erased when something changes, and the memory for it never
// grows. Tags share slots: at worst, an answer is fetched again that need not have been.
//
// [any] Times are of one monotonic clock. Changes are noted after the change is durable, so a
// reading that begins later sees it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace cache {

class TagClock {
 public:
  static constexpr size_t kSlots = 1u << 16;
  // The same on every host: FNV-1a, folded.
  static uint32_t slot(std::string_view tag);

  void changed(uint32_t slot, uint64_t now_ns) { raise(changed_[slot % kSlots], now_ns); }
  void all_changed(uint64_t now_ns) { raise(floor_, now_ns); }
  // Whether what was read from `began_ns` on still holds. With `settle_ns`: whether the reading was
  // certain to see the changes before it, where readers lag behind writers by that much.
  bool holds(std::span<const uint32_t> slots, uint64_t began_ns, uint64_t settle_ns = 0) const {
    if (since(floor_, began_ns, settle_ns)) return false;
    for (const uint32_t slot : slots)
      if (since(changed_[slot % kSlots], began_ns, settle_ns)) return false;
    return true;
  }

 private:
  static bool since(const std::atomic<uint64_t>& changed, uint64_t began_ns, uint64_t settle_ns) {
    const uint64_t at = changed.load(std::memory_order_acquire);
    return at != 0 && at + settle_ns >= began_ns;
  }
  static void raise(std::atomic<uint64_t>& value, uint64_t to) {
    uint64_t seen = value.load(std::memory_order_relaxed);
    while (seen < to && !value.compare_exchange_weak(seen, to, std::memory_order_acq_rel)) {
    }
  }

  std::atomic<uint64_t> floor_{0};
  std::array<std::atomic<uint64_t>, kSlots> changed_{};
};

}  // namespace cache
