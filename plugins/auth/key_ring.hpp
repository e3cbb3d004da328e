// Keys that were found good, so that a request need not ask the database; told of every change
// within half a second.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "key.hpp"

namespace auth {

class KeyRing {
 public:
  struct Entry {
    std::string id;
    IdentityPtr identity;
    std::chrono::steady_clock::time_point read;  // when the database was asked
    std::atomic<bool> gone{false};               // changed since: to be read again
    std::atomic<bool> used{false};               // since that was last written down
  };
  using EntryPtr = std::shared_ptr<Entry>;

  KeyRing(size_t capacity, std::chrono::milliseconds stale) : entries_(capacity), capacity_(capacity), stale_(stale) {}

  // [any] Null where it is not known, has changed, or nothing was heard of changes for too long.
  EntryPtr find(const Digest256& digest);
  // [any] `asked`: when the query was sent. Not kept where that is so long ago that a change may
  // have been missed.
  EntryPtr put(const Digest256& digest, const KeyRecord& record, std::chrono::steady_clock::time_point asked);
  // What has changed in the database, as of now.
  void changed(const std::vector<KeyRecord>& records);
  void drop(const std::string& id);
  // Of those that were used since the last call, at most so many or a few more.
  std::vector<std::string> take_used(size_t most);

  // How much of the past a poll must cover again, so that no change is missed between a query and
  // its answer.
  static constexpr std::chrono::milliseconds kOverlap{5'000};
  // Read again after this time whatever was heard: a commit may take longer than any overlap.
  static constexpr std::chrono::milliseconds kLife{30'000};

 private:
  using Clock = std::chrono::steady_clock;

  DigestCache<EntryPtr> entries_;
  const size_t capacity_;
  const std::chrono::milliseconds stale_;
  std::atomic<Clock::rep> heard_{0};
  std::mutex mutex_;  // what follows
  std::unordered_map<std::string, std::weak_ptr<Entry>> by_id_;
  size_t next_bucket_ = 0;  // where take_used() goes on
};

IdentityPtr identity_of(const KeyRecord& record);

}  // namespace auth
