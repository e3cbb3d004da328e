#include "core/exchange/notes.hpp"

namespace bulkhead::exchange {

void Notes::put(std::string_view key, std::string_view value) {
  const std::lock_guard lock(mutex_);
  const std::string_view kept = arena_.copy(value);
  for (Attribute& attribute : attributes_) {
    if (attribute.key == key) {
      attribute.value = kept;
      return;
    }
  }
  attributes_.push_back({arena_.copy(key), kept});
  has_attributes_.store(true, std::memory_order_release);
}

bool Notes::get(std::string_view key, std::string_view* value) {
  if (!has_attributes_.load(std::memory_order_acquire)) return false;
  const std::lock_guard lock(mutex_);
  for (const Attribute& attribute : attributes_) {
    if (attribute.key == key) {
      *value = attribute.value;
      return true;
    }
  }
  return false;
}

bool Notes::attach(const void* owner, std::string_view key, void* data, void (*release)(void*)) {
  const std::lock_guard lock(mutex_);
  for (const Attached& each : attached_)
    if (each.owner == owner && each.key == key) return false;
  attached_.push_back({owner, arena_.copy(key), data, release});
  has_attached_.store(true, std::memory_order_release);
  return true;
}

void* Notes::attached(const void* owner, std::string_view key) {
  if (!has_attached_.load(std::memory_order_acquire)) return nullptr;
  const std::lock_guard lock(mutex_);
  for (const Attached& each : attached_)
    if (each.owner == owner && each.key == key) return each.data;
  return nullptr;
}

void Notes::drop_attachments() {
  for (const Attached& each : attached_) each.release(each.data);
  attached_.clear();
  has_attached_.store(false, std::memory_order_relaxed);
}

void Notes::on_end(const Callback& callback) {
  {
    const std::lock_guard lock(mutex_);
    callbacks_.push_back(callback);
    End seen = End::kNoCallback;
    if (end_.compare_exchange_strong(seen, End::kCallbacks, std::memory_order_acq_rel) || seen == End::kCallbacks)
      return;
    callbacks_.pop_back();
  }
  callback.run(callback.arg);
}

std::vector<Notes::Callback> Notes::take_end_callbacks() {
  std::vector<Callback> due;
  if (end_.exchange(End::kOver, std::memory_order_acq_rel) != End::kCallbacks) return due;
  const std::lock_guard lock(mutex_);
  due.swap(callbacks_);
  return due;
}

void Notes::clear() {
  drop_attachments();
  attributes_.clear();
  has_attributes_.store(false, std::memory_order_relaxed);
  callbacks_.clear();
  end_.store(End::kNoCallback, std::memory_order_relaxed);
  arena_.reset();
}

}  // namespace bulkhead::exchange
