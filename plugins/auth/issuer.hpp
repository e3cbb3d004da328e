// An OpenID provider: its keys, fetched by discovery (OpenID Connect Discovery 1.0 §4) and kept.
//
// Each issuer has a thread that fetches. A token with an unknown key id may wait for the next
// fetch; known keys stay good while the issuer is away.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fetch.hpp"
#include "jwt.hpp"

namespace auth {

struct IssuerSettings {
  Rules rules;
  std::vector<Algorithm> algorithms;
  std::string jwks_url;                   // "" = by discovery
  std::vector<std::string> jwks_origins;  // where discovery may lead beside the issuer's own origin
  FetchSettings fetch;
  std::chrono::milliseconds refresh{3'600'000};  // how old keys become before they are fetched again
  std::chrono::milliseconds pause{10'000};       // at least, between fetches that unknown key ids cause
};

using Keys = std::vector<Jwk>;

class Issuer {
 public:
  // After each fetch, on the fetching thread, before waiting tokens go on: the issuer; why its keys
  // could not be fetched, or ""; keys that are not used and why, where that changed.
  using Report = std::function<void(const Issuer&, const std::string&, const std::vector<std::string>&)>;

  explicit Issuer(IssuerSettings settings) : settings_(std::move(settings)) {}
  ~Issuer() { stop(); }
  Issuer(const Issuer&) = delete;
  Issuer& operator=(const Issuer&) = delete;

  void start(Report report);
  // Calls all that wait for a fetch.
  void stop();

  const IssuerSettings& settings() const { return settings_; }
  // Another object after each fetch; null before the first that succeeded.
  std::shared_ptr<const Keys> keys() const {
    const std::lock_guard lock(mutex_);
    return keys_;
  }
  // Of the last fetch; "" = good, or none yet.
  std::string error() const {
    const std::lock_guard lock(mutex_);
    return error_;
  }
  // [any] Calls `then` after the next fetch, which is soon but not sooner than `pause` after the
  // last one. On the fetching thread. False where too many wait: it will not be called.
  bool when_fetched(std::function<void()> then);

  // The key that this token names, or the only one that fits where it names none. Lives as long as
  // the set.
  static const Jwk* find(const Keys& keys, const Token& token);

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kMaxWaiting = 1024;

  void run();
  void fetch();

  const IssuerSettings settings_;
  Report report_;
  std::vector<std::string> refused_;  // keys of the last set; its thread alone
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;  // what follows
  std::condition_variable changed_;
  std::shared_ptr<const Keys> keys_;
  std::vector<std::function<void()>> waiting_;
  Clock::time_point due_{}, earliest_{};
  std::string error_;
  unsigned failures_ = 0;
  std::thread thread_;
};

}  // namespace auth
