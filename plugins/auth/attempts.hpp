// Failed attempts by address. An address that guesses is turned away for a while, whatever it
// sends.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace auth {

class Attempts {
 public:
  // `limit` failures a minute and address; 0 = no limit.
  explicit Attempts(uint32_t limit) : limit_(limit) {}

  // [any] Seconds until the address is heard again, 0 = now. One load while none is turned away.
  uint32_t blocked_for_s(std::string_view address, uint64_t now_ns);
  // [any] True where this one is the last that was free: from now on it is turned away.
  bool failed(std::string_view address, uint64_t now_ns);

 private:
  struct Bucket {
    double used = 0;
    uint64_t at_ns = 0;
  };
  static constexpr size_t kMaxAddresses = 65'536;

  double level(const Bucket& bucket, uint64_t now_ns) const;

  const uint32_t limit_;
  std::atomic<uint64_t> blocked_until_ns_{0};  // when the last one that is turned away is heard again
  std::mutex mutex_;                           // what follows
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace auth
