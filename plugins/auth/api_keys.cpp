#include "api_keys.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

namespace auth {

using bulkhead::Request;
using bulkhead::SqlResult;

namespace {

constexpr size_t kUsedAtOnce = 1'024;
constexpr uint64_t kUsedMs = 10'000;

Outcome unavailable() {
  return {Verdict::kUnavailable, nullptr, "API keys cannot be looked up at the moment. Try again."};
}

}  // namespace

void ApiKeys::start(KeyStore& store) {
  store_ = &store;
  poll_timer_ = host_.every(settings_.poll_ms, [this] { poll(); });
  used_timer_ = host_.every(kUsedMs, [this] { note_used(); });
}

void ApiKeys::stop() {
  poll_timer_ = {};
  used_timer_ = {};
  note_used();
}

std::optional<Outcome> ApiKeys::known(std::string_view key) {
  if (store_.load() == nullptr) return Outcome{Verdict::kUnknown, nullptr, "API keys are not taken here."};
  const auto peppers = settings_.peppers->get();
  // Under an older pepper it is asked for again, to be kept under the first.
  for (size_t i = 0; i < (settings_.peppers->settled() ? 1 : peppers->size()); ++i)
    if (const KeyRing::EntryPtr entry = ring_.find(key_digest((*peppers)[i], key))) {
      if (!entry->used.load(std::memory_order_relaxed)) entry->used.store(true, std::memory_order_relaxed);
      return Outcome{Verdict::kGood, entry->identity, {}};
    }
  return std::nullopt;
}

bulkhead::Task<Outcome> ApiKeys::ask(Request request, std::string_view key) {
  std::vector<Digest256> digests;
  const std::shared_ptr<const Peppers::List> peppers = settings_.peppers->get();
  for (const std::string& pepper : *peppers) digests.push_back(key_digest(pepper, key));
  const Time asked = std::chrono::steady_clock::now();
  std::optional<KeyRecord> record;
  try {
    auto lookup = store_.load()->find(std::string(key_id(key)), request.handle());
    record = co_await lookup;
  } catch (const bulkhead::Failure&) {  // its queue is full, or it is down
    co_return unavailable();
  }
  if (!record) co_return Outcome{Verdict::kUnknown, nullptr, "The API key is not known."};
  co_return judge(*record, digests, asked);
}

// `digests`: of what the caller showed, under each pepper, the present one first.
Outcome ApiKeys::judge(const KeyRecord& record, const std::vector<Digest256>& digests, Time asked) {
  const auto match = std::find_if(digests.begin(), digests.end(),
                                  [&](const Digest256& digest) { return same_digest(digest, record.hash); });
  if (match == digests.end()) return {Verdict::kUnknown, nullptr, "The API key is not known."};
  if (record.revoked_ms != 0) return {Verdict::kRevoked, nullptr, "The API key has been revoked."};
  if (match != digests.begin() && settings_.peppers->settled()) rehash(record, digests.front());
  const KeyRing::EntryPtr entry = ring_.put(*match, record, asked);
  entry->used = true;
  return {Verdict::kGood, entry->identity, {}};
}

void ApiKeys::rehash(const KeyRecord& record, const Digest256& digest) const {
  try {
    store_.load()->rehash(record.id, record.hash, digest_text(digest));
  } catch (const bulkhead::Failure&) {  // its queue is full: the next use tries again
  }
}

void ApiKeys::poll() {
  if (polling_.exchange(true)) return;
  const int64_t since = std::max<int64_t>(0, heard_until_ms_.load() - KeyRing::kOverlap.count());
  const int64_t asked = wall_ms();
  try {
    // The first one only learns the time.
    store_.load()->changes(
        heard_until_ms_.load() == 0 ? INT64_MAX : since,
        [this, asked](const SqlResult& result, int64_t now_ms, const std::vector<KeyRecord>& changed) {
          if (result.ok()) {
            ring_.changed(changed);
            heard_until_ms_ = now_ms;
            ahead_ms_ = now_ms - (asked + wall_ms()) / 2;
          }
          heard(result.ok(), result.message);
          polling_ = false;
        });
  } catch (const bulkhead::Failure& refused) {
    heard(false, refused.message);
    polling_ = false;
  }
}

void ApiKeys::heard(bool good, const std::string& error) {
  if (unheard_.exchange(!good) == !good) return;
  if (good)
    host_.info("polling for changes of API keys works again");
  else
    host_.warn("polling for changes of API keys fails",
               {{"error", error}, {"remembered_keys_end_after_s", std::to_string(settings_.stale.count() / 1000)}});
}

void ApiKeys::note_used() {
  KeyStore* store = store_.load();
  if (store == nullptr) return;
  try {
    store->used(ring_.take_used(kUsedAtOnce));
  } catch (const bulkhead::Failure&) {  // no great loss: the next use is noted again
  }
}

}  // namespace auth
