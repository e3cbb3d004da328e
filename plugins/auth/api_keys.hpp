// ApiKeys: callers with an API key. Keys that were looked up are remembered; a poll hears of
// changes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "key_ring.hpp"
#include "key_store.hpp"
#include "settings.hpp"
#include "verifier.hpp"

namespace auth {

class ApiKeys final : public Verifier {
 public:
  ApiKeys(const bulkhead::Host& host, const Settings& settings)
      : host_(host), settings_(settings), ring_(settings.cached_keys, settings.stale) {}

  // Keys are looked up in `store` until stop().
  void start(KeyStore& store);
  void stop();
  // A key was changed by this host: it need not wait to hear of it.
  void forget(const std::string& key_id) { ring_.drop(key_id); }

  std::string_view kind() const override { return "key"; }
  // The database's, which all hosts share.
  int64_t now_ms() const override { return wall_ms() + ahead_ms_.load(std::memory_order_relaxed); }
  std::optional<Outcome> known(std::string_view key) override;
  bulkhead::Task<Outcome> ask(bulkhead::Request request, std::string_view key) override;

 private:
  using Time = std::chrono::steady_clock::time_point;

  Outcome judge(const KeyRecord& record, const std::vector<Digest256>& digests, Time asked);
  void rehash(const KeyRecord& record, const Digest256& digest) const;
  void poll();
  void heard(bool good, const std::string& error);
  void note_used();

  const bulkhead::Host host_;
  const Settings& settings_;
  KeyRing ring_;
  std::atomic<KeyStore*> store_{nullptr};
  std::atomic<bool> polling_{false}, unheard_{false};
  std::atomic<int64_t> ahead_ms_{0};        // of this host's clock, the database's
  std::atomic<int64_t> heard_until_ms_{0};  // the database's time of the last poll
  bulkhead::Timer poll_timer_, used_timer_;
};

}  // namespace auth
