// Callers with an API key.
#include <chrono>
#include <optional>

#include "authenticator.hpp"

namespace auth {

using bulkhead::Exchange;
using bulkhead::Request;
using bulkhead::SqlResult;

namespace {
constexpr size_t kUsedAtOnce = 1'024;
}  // namespace

bh_flow Authenticator::by_key(const Request& request, std::string_view text) {
  KeyStore* store = store_.load();
  if (store == nullptr) return settle(request, {Verdict::kUnknown, nullptr, "API keys are not taken here."}, "key");
  const auto peppers = settings_.peppers->get();
  const bool settled = settings_.peppers->settled();
  for (size_t i = 0; i < (settled ? 1 : peppers->size()); ++i)  // under an older one: to be kept under the first
    if (const KeyRing::EntryPtr entry = ring_.find(key_digest((*peppers)[i], text))) {
      if (!entry->used.load(std::memory_order_relaxed)) entry->used.store(true, std::memory_order_relaxed);
      return settle(request, {Verdict::kGood, entry->identity, {}}, "key");
    }
  auto digests = std::make_shared<std::vector<Digest256>>();
  for (const std::string& pepper : *peppers) digests->push_back(key_digest(pepper, text));
  const Exchange held(host_.raw(), request.handle());
  const Time asked = std::chrono::steady_clock::now();
  try {
    store->find(
        key_id(text), request.handle(),
        [this, store, request, held, digests, asked, settled](const SqlResult& result,
                                                              const std::optional<KeyRecord>& record) {
          Outcome outcome;
          if (!result.ok()) {
            outcome = {Verdict::kUnavailable, nullptr, "API keys cannot be looked up at the moment. Try again."};
          } else if (!record) {
            outcome.why = "The API key is not known.";
          } else {
            size_t used = 0;
            while (used < digests->size() && !same_digest((*digests)[used], record->hash)) ++used;
            if (used == digests->size()) {
              outcome.why = "The API key is not known.";
            } else if (record->revoked_ms != 0) {
              outcome = {Verdict::kRevoked, nullptr, "The API key has been revoked."};
            } else {
              if (used != 0 && settled) rehash(*store, *record, digests->front());
              const KeyRing::EntryPtr entry = ring_.put((*digests)[used], *record, asked);
              entry->used = true;
              outcome = {Verdict::kGood, entry->identity, {}};
            }
          }
          settle_later(request, held, outcome, "key");
        });
  } catch (const bulkhead::Failure&) {  // its queue is full, or it is on its way down
    return settle(request, {Verdict::kUnavailable, nullptr, "API keys cannot be looked up at the moment. Try again."},
                  "key");
  }
  return BH_PENDING;
}

void Authenticator::rehash(const KeyStore& store, const KeyRecord& record, const Digest256& digest) {
  try {
    store.rehash(record.id, record.hash, digest_text(digest));
  } catch (const bulkhead::Failure&) {  // its queue is full: the next use tries again
  }
}

void Authenticator::poll() {
  KeyStore* store = store_.load();
  if (store == nullptr || polling_.exchange(true)) return;
  const int64_t since = std::max<int64_t>(0, heard_until_ms_.load() - KeyRing::kOverlap.count());
  const int64_t asked = wall_ms();
  try {
    // The first one only learns the time.
    store->changes(heard_until_ms_.load() == 0 ? INT64_MAX : since,
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

void Authenticator::heard(bool good, const std::string& error) {
  if (unheard_.exchange(!good) == !good) return;
  if (good)
    host_.info("changes of API keys are heard of again");
  else
    host_.warn("changes of API keys are not heard of",
               {{"error", error}, {"remembered_keys_end_after_s", std::to_string(settings_.stale.count() / 1000)}});
}

void Authenticator::note_used() {
  KeyStore* store = store_.load();
  if (store == nullptr) return;
  try {
    store->used(ring_.take_used(kUsedAtOnce));
  } catch (const bulkhead::Failure&) {  // no great loss: the next use is noted again
  }
}

}  // namespace auth
