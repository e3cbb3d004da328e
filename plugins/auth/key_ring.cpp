#include "key_ring.hpp"

namespace auth {

IdentityPtr identity_of(const KeyRecord& record) {
  auto identity = std::make_shared<Identity>();
  identity->subject = "key:" + record.id;
  identity->kind = "key";
  identity->scopes = record.scopes;
  identity->tenant = record.tenant;
  identity->expires_ms = record.expires_ms;
  return identity;
}

KeyRing::EntryPtr KeyRing::find(const Digest256& digest) {
  const auto now = Clock::now();
  const Clock::duration heard(heard_.load(std::memory_order_acquire));
  if (now.time_since_epoch() - heard > stale_) return nullptr;
  EntryPtr entry = entries_.find(digest);
  if (!entry || entry->gone.load(std::memory_order_acquire)) return nullptr;
  // While the database is away, what it said last is good for as long as changes may go unheard.
  const bool away = now.time_since_epoch() - heard > kOverlap / 2;
  return away || now - entry->read < kLife ? entry : nullptr;
}

KeyRing::EntryPtr KeyRing::put(const Digest256& digest, const KeyRecord& record, Clock::time_point asked) {
  auto entry = std::make_shared<Entry>();
  entry->id = record.id;
  entry->identity = identity_of(record);
  entry->read = asked;
  if (Clock::now() - asked > kOverlap / 2 || heard_.load(std::memory_order_acquire) == 0) return entry;
  {
    const std::lock_guard lock(mutex_);
    if (by_id_.size() >= 2 * capacity_) std::erase_if(by_id_, [](const auto& each) { return each.second.expired(); });
    auto& known = by_id_[record.id];
    // The same key under another pepper, or read twice at once: the older one is not told of
    // changes any more.
    if (const EntryPtr before = known.lock()) before->gone = true;
    known = entry;
  }
  entries_.put(digest, entry);
  return entry;
}

void KeyRing::changed(const std::vector<KeyRecord>& records) {
  for (const KeyRecord& record : records) drop(record.id);
  heard_.store(Clock::now().time_since_epoch().count(), std::memory_order_release);
}

void KeyRing::drop(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  if (const EntryPtr entry = found->second.lock()) entry->gone = true;
  by_id_.erase(found);
}

std::vector<std::string> KeyRing::take_used(size_t most) {
  std::vector<std::string> used;
  const std::lock_guard lock(mutex_);
  // Round the table, so that all have their turn.
  const size_t buckets = by_id_.bucket_count();
  for (size_t i = 0; i < buckets && used.size() < most; ++i, next_bucket_ = (next_bucket_ + 1) % buckets)
    for (auto each = by_id_.cbegin(next_bucket_ % buckets); each != by_id_.cend(next_bucket_ % buckets); ++each) {
      const EntryPtr entry = each->second.lock();
      if (entry && entry->used.exchange(false, std::memory_order_relaxed)) used.push_back(each->first);
    }
  return used;
}

}  // namespace auth
