// Requests: what is counted of every request, by route and method.
//
// The series of a route are resolved once; a request finds them by the address of
// its route's name, without a lock. Names and buckets are those of the original
// deployment, so that its dashboards and alerts work.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.hpp"

namespace metrics {

class Requests {
 public:
  explicit Requests(const bulkhead::Host& host);

  // What is counted for a route before its first request: zeros, so that rates have a beginning.
  void expect(std::string_view method, std::string_view route);
  // ADMIT
  void began(const bulkhead::Request& request);
  // COMPLETE
  void ended(const bulkhead::Request& request);

 private:
  static constexpr int kStatuses = 500;  // 100 to 599
  struct Endpoint {
    const Requests* of = nullptr;
    std::string route;
    std::string_view method;
    uint32_t active = 0, latency = 0;
    std::array<std::atomic<uint32_t>, kStatuses> by_status{};
    std::array<std::atomic<uint32_t>, 100> exceptions{};  // 500 to 599
  };
  // Open addressing by the address of the route's name; immutable.
  struct Index {
    struct Slot {
      const char* route = nullptr;
      size_t method = 0;
      Endpoint* endpoint = nullptr;
    };
    size_t mask, used = 0;
    std::vector<Slot> slots;
  };

  Endpoint& of(const bulkhead::Request& request);
  Endpoint& learn(std::string_view route, size_t method);
  Endpoint& make(std::string_view route, size_t method);
  uint32_t status_series(Endpoint& endpoint, int status);
  uint32_t exception_series(Endpoint& endpoint, int status);

  const bulkhead::Host host_;
  uint32_t requests_ = 0, latency_ = 0, active_ = 0, exceptions_ = 0;
  std::atomic<const Index*> index_{nullptr};
  std::mutex mutex_;  // what follows
  std::deque<Endpoint> endpoints_;
  std::deque<Index> indexes_;  // a request may still look at an old one
};

}  // namespace metrics
