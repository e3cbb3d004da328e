#include "core/runtime/deadline.hpp"

namespace bulkhead::runtime {

void DeadlineQueue::arm(DeadlineEntry& entry, uint64_t now_ns, uint32_t duration_ms) {
  disarm(entry);
  uint32_t index = 0;
  while (index < lists_.size() && lists_[index].duration_ms != duration_ms) ++index;
  if (index == lists_.size()) lists_.push_back({duration_ms});
  List& list = lists_[index];
  entry.queue_ = this;
  entry.list_ = index;
  entry.at_ns_ = now_ns + uint64_t{duration_ms} * 1'000'000;
  // Nearly always at the end; `now_ns` may lie in the past, and the list stays sorted.
  DeadlineEntry* before = list.tail;
  while (before != nullptr && before->at_ns_ > entry.at_ns_) before = before->previous_;
  entry.previous_ = before;
  entry.next_ = before != nullptr ? before->next_ : list.head;
  (entry.next_ != nullptr ? entry.next_->previous_ : list.tail) = &entry;
  (before != nullptr ? before->next_ : list.head) = &entry;
}

void DeadlineQueue::disarm(DeadlineEntry& entry) {
  if (entry.queue_ == nullptr) return;
  List& list = lists_[entry.list_];
  (entry.previous_ != nullptr ? entry.previous_->next_ : list.head) = entry.next_;
  (entry.next_ != nullptr ? entry.next_->previous_ : list.tail) = entry.previous_;
  entry.queue_ = nullptr;
}

void DeadlineQueue::expire(uint64_t now_ns) {
  // By index: expired() may arm a new duration and so grow lists_.
  for (size_t i = 0; i < lists_.size(); ++i) {
    while (lists_[i].head != nullptr && lists_[i].head->at_ns_ <= now_ns) {
      DeadlineEntry& entry = *lists_[i].head;
      disarm(entry);
      entry.expired();
    }
  }
}

uint64_t DeadlineQueue::next_ns() const {
  uint64_t next = kNever;
  for (const List& list : lists_)
    if (list.head != nullptr && list.head->at_ns_ < next) next = list.head->at_ns_;
  return next;
}

}  // namespace bulkhead::runtime
