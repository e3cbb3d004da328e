#include "notify_bus.hpp"

#include <array>
#include <chrono>
#include <utility>
#include <vector>

namespace cache {

namespace {

constexpr size_t kMost = 1000;  // slots of one payload, which PostgreSQL bounds at 8,000 bytes
constexpr uint64_t kRetryMs = 100;
constexpr std::chrono::seconds kFlush{1};

}  // namespace

NotifyBus::NotifyBus(const bulkhead::Host& host, std::string channel, Listener listener)
    : host_(host), channel_(std::move(channel)), listener_(std::move(listener)), sql_(host) {
  sql_.listen(
      channel_, [this](std::string_view payload) { listener_.told(payload); },
      [this](bool on) { listener_.state(on); });
}

void NotifyBus::changed(std::span<const uint32_t> slots) {
  std::unique_lock lock(mutex_);
  pending_.insert(slots.begin(), slots.end());
  if (!sending_) send(std::move(lock));
}

void NotifyBus::send(std::unique_lock<std::mutex> lock) {
  sending_ = true;
  std::vector<uint32_t> slots;
  while (!pending_.empty() && slots.size() < kMost) slots.push_back(pending_.extract(pending_.begin()).value());
  lock.unlock();
  const std::string payload = listener_.write(slots);
  const std::array<bh_value, 2> values = {bulkhead::sql_text(channel_), bulkhead::sql_text(payload)};
  const auto again = [this](const std::vector<uint32_t>& unsent) {
    const std::lock_guard relock(mutex_);
    pending_.insert(unsent.begin(), unsent.end());
    retry_ = host_.after(kRetryMs, [this] { send(std::unique_lock(mutex_)); });
    if (retry_) return;  // sending_ stays set: the timer goes on
    sending_ = false;
    sent_.notify_all();
  };
  try {
    sql_.submit(
        {.sql = "select pg_notify(:channel, :payload)", .values = values}, [](std::span<const bh_value>) {},
        [this, again, slots](const bulkhead::SqlResult& result) {
          if (!result.ok()) return again(slots);
          std::unique_lock relock(mutex_);
          if (!pending_.empty()) return send(std::move(relock));
          sending_ = false;
          sent_.notify_all();
        });
  } catch (const bulkhead::Failure&) {
    again(slots);
  }
}

void NotifyBus::flush() {
  std::unique_lock lock(mutex_);
  sent_.wait_for(lock, kFlush, [this] { return !sending_; });
}

}  // namespace cache
