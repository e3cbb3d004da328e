// Deadlines of one I/O thread: thousands of timeouts, few distinct durations.
//
// Entries with the same duration expire in the order they were armed, so each
// duration has one list and arming, disarming and expiring are O(1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bulkhead::runtime {

class DeadlineQueue;

// What can expire. Member of at most one queue; disarm before it goes.
class DeadlineEntry {
 public:
  virtual void expired() = 0;
  bool armed() const { return queue_ != nullptr; }

 protected:
  DeadlineEntry() = default;
  DeadlineEntry(const DeadlineEntry&) = delete;
  DeadlineEntry& operator=(const DeadlineEntry&) = delete;
  ~DeadlineEntry() = default;

 private:
  friend class DeadlineQueue;
  DeadlineQueue* queue_ = nullptr;
  DeadlineEntry* previous_ = nullptr;
  DeadlineEntry* next_ = nullptr;
  uint32_t list_ = 0;
  uint64_t at_ns_ = 0;
};

// One thread only.
class DeadlineQueue {
 public:
  static constexpr uint64_t kNever = UINT64_MAX;

  // Expires `duration_ms` after `now_ns`; re-arms if armed already.
  void arm(DeadlineEntry& entry, uint64_t now_ns, uint32_t duration_ms);
  void disarm(DeadlineEntry& entry);
  // Calls expired() on all that are due. Entries may arm, disarm and free themselves in it.
  void expire(uint64_t now_ns);
  uint64_t next_ns() const;

 private:
  struct List {
    uint32_t duration_ms;
    DeadlineEntry* head = nullptr;
    DeadlineEntry* tail = nullptr;
  };
  std::vector<List> lists_;
};

}  // namespace bulkhead::runtime
