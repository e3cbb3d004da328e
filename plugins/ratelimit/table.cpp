#include "table.hpp"

#include <sys/random.h>

#include <functional>
#include <numeric>
#include <string>

namespace ratelimit {

Table::Table(size_t entries)
    : sets_(std::max<size_t>(1, (entries + kWays - 1) / kWays)), table_(std::make_unique<Set[]>(sets_)) {
  static_cast<void>(::getrandom(seed_.data(), seed_.size(), 0));
}

uint64_t Table::hash(std::string_view key) const {
  // Most keys fit into what std::string holds without an allocation, or nearly.
  std::string seeded(seed_.data(), seed_.size());
  seeded.append(key);
  return std::max<uint64_t>(1, std::hash<std::string_view>()(seeded));
}

Decision Table::decide(std::string_view key, const Rate& rate, int64_t now, bool take) {
  const uint64_t tag = hash(key);
  const size_t number = tag % sets_, lock_number = number % kLocks;
  const std::lock_guard lock(locks_[lock_number]);
  Set& set = table_[number];
  Entry* found = nullptr;
  Entry* room = set.data();
  for (Entry& entry : set) {
    if (entry.tag == tag) found = &entry;
    if (entry.tat < room->tat) room = &entry;
  }
  const Decision decision = ratelimit::decide(rate, found != nullptr ? found->tat : 0, now);
  if (!take || !decision.allowed) return decision;
  if (found == nullptr) {
    if (room->tag != 0 && room->tat > now) ++displaced_[lock_number];
    found = room;
    found->tag = tag;
  }
  found->tat = decision.tat;
  return decision;
}

uint64_t Table::displaced() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < kLocks; ++i) {
    const std::lock_guard lock(locks_[i]);
    sum += displaced_[i];
  }
  return sum;
}

}  // namespace ratelimit
