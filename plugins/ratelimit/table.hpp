// The callers' numbers in memory that does not grow: 16 bytes each, in sets of eight. Where a set
// is full, the caller closest to a full allowance makes room.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "gcra.hpp"

namespace ratelimit {

class Table {
 public:
  explicit Table(size_t entries);

  // [any] Decides, and keeps the outcome if `take`. `now` never goes back.
  Decision decide(std::string_view key, const Rate& rate, int64_t now, bool take);
  // Callers that had to make room though their limit was not back to full.
  uint64_t displaced() const;

 private:
  static constexpr size_t kWays = 8, kLocks = 256;
  struct Entry {
    uint64_t tag = 0;  // 0 = free
    int64_t tat = 0;
  };
  using Set = std::array<Entry, kWays>;

  uint64_t hash(std::string_view key) const;

  std::array<char, 16> seed_{};  // callers cannot choose keys that collide
  size_t sets_;
  std::unique_ptr<Set[]> table_;
  mutable std::array<std::mutex, kLocks> locks_;
  std::array<uint64_t, kLocks> displaced_{};
};

}  // namespace ratelimit
