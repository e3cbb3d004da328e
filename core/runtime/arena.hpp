// Arena: memory with the life of one exchange, reused by the next one.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "core/runtime/checks.hpp"

namespace bulkhead::runtime {

// Bump allocator. Never frees single pieces; reset() keeps the first block, so an
// exchange that stays below kBlock bytes allocates nothing in the steady state.
// Not thread-safe.
class Arena {
 public:
  static constexpr size_t kBlock = 2048;

  char* allocate(size_t bytes) {
    bytes = (bytes + 7) & ~size_t{7};
    if (bytes > left_) grow(bytes);
    char* p = next_;
    next_ += bytes;
    left_ -= bytes;
    return p;
  }
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {"", 0};
    char* p = allocate(text.size());
    std::memcpy(p, text.data(), text.size());
    return {p, text.size()};
  }
  void reset() {
    if (checked())
      for (const auto& block : blocks_) poison(block.get(), kBlock);  // larger ones are freed
    if (blocks_.size() > 1) blocks_.resize(1);
    if (!blocks_.empty()) {
      next_ = blocks_.front().get();
      left_ = kBlock;
    }
  }

 private:
  void grow(size_t bytes) {
    const size_t size = bytes > kBlock ? bytes : kBlock;
    if (blocks_.empty() && bytes > kBlock) blocks_.push_back(std::make_unique_for_overwrite<char[]>(kBlock));
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    next_ = blocks_.back().get();
    left_ = size;
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  size_t left_ = 0;
};

}  // namespace bulkhead::runtime
