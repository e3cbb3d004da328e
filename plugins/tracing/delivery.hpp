// Delivery: one request of OTLP/HTTP brought to a collector, tried again as the protocol says.
//
// https://opentelemetry.io/docs/specs/otlp/: 429, 502, 503, 504 and a connection that fails are
// tried again, after Retry-After or a growing pause with jitter; nothing else is. Used by one
// thread; stop() by any.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tracing {

struct DeliverySettings {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  bool json = false, gzip = true;
  uint32_t timeout_ms = 10'000;                             // of one attempt
  uint32_t total_timeout_ms = 30'000;                       // of all
  std::string certificate, client_certificate, client_key;  // PEM files; "" = the system's, none
  std::string user_agent;
};

struct Delivered {
  bool good = false;
  bool passing = false;  // where it is not good: worth trying again
  long status = 0;       // of the last attempt, 0: no answer
  std::string error;     // where it is not good
  std::string body;      // of the answer
  uint32_t attempts = 0;
};

class Delivery {
 public:
  explicit Delivery(DeliverySettings settings);
  ~Delivery();
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  Delivered deliver(const std::string& body);
  // From now on nothing is waited for longer than `patience`, all in all.
  void stop(std::chrono::milliseconds patience);
  const DeliverySettings& settings() const { return settings_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Curl;
  struct Attempt {
    long status = 0;
    bool passing = false;
    std::string error, body;
    std::optional<std::chrono::milliseconds> retry_after;
  };

  Attempt attempt(std::string_view body, Clock::time_point deadline);
  bool pause(std::chrono::milliseconds time);
  Clock::time_point no_later_than(Clock::time_point time);

  const DeliverySettings settings_;
  std::unique_ptr<Curl> curl_;
  std::mutex mutex_;  // what follows
  std::condition_variable stopped_;
  std::optional<Clock::time_point> end_;
};

// Retry-After (RFC 9110 §10.2.3): seconds, or a date that is compared with `now`.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view text, time_t now);
bool is_retryable(long status);

}  // namespace tracing
