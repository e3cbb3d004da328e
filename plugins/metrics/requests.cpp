#include "requests.hpp"

#include <algorithm>

namespace metrics {

namespace {

// A method that is none of these shares one series, or a caller could make as many as it likes.
constexpr std::array<std::string_view, 8> kMethods = {"GET",   "HEAD",   "POST",    "PUT",
                                                      "PATCH", "DELETE", "OPTIONS", "other"};
constexpr std::string_view kUnmatched = "unmatched";
constexpr std::array<double, 9> kBuckets = {.001, .005, .01, .05, .1, .5, 1, 2, 5};

size_t method_number(std::string_view method) {
  return static_cast<size_t>(std::find(kMethods.begin(), kMethods.end() - 1, method) - kMethods.begin());
}

size_t hash(const char* route, size_t method) {
  return static_cast<size_t>((reinterpret_cast<uintptr_t>(route) ^ (method << 3)) * 0x9e3779b97f4a7c15 >> 20);
}

}  // namespace

Requests::Requests(const bulkhead::Host& host) : host_(host) {
  static constexpr std::array<std::string_view, 3> kCounted = {"endpoint", "method", "status"};
  static constexpr std::array<std::string_view, 2> kTimed = {"endpoint", "method"};
  static constexpr std::array<std::string_view, 2> kFailed = {"exception_type", "endpoint"};
  requests_ = host.metric(BH_COUNTER, "api_requests_total",
                          "Requests by route pattern, method and status; 499 where the caller left first.", kCounted);
  latency_ = host.metric(BH_HISTOGRAM, "api_response_latency_seconds",
                         "From the first byte of a request to the last one of its answer.", kTimed, kBuckets);
  active_ = host.metric(BH_UPDOWN, "api_active_requests", "Requests that are routed and not answered yet.", kTimed);
  exceptions_ =
      host.metric(BH_COUNTER, "exceptions_total", "Answers of status 500 and above, by their reason.", kFailed);
  index_.store(&indexes_.emplace_back(Index{63, 0, std::vector<Index::Slot>(64)}), std::memory_order_release);
}

void Requests::expect(std::string_view method, std::string_view route) {
  const std::lock_guard lock(mutex_);
  make(route, method_number(method));
}

Requests::Endpoint& Requests::of(const bulkhead::Request& request) {
  const std::string_view route = request.route();
  const size_t method = method_number(request.method());
  const char* key = route.empty() ? kUnmatched.data() : route.data();
  const Index& index = *index_.load(std::memory_order_acquire);
  for (size_t at = hash(key, method) & index.mask; index.slots[at].route != nullptr; at = (at + 1) & index.mask)
    if (index.slots[at].route == key && index.slots[at].method == method) return *index.slots[at].endpoint;
  return learn(route.empty() ? kUnmatched : route, method);
}

// A name at an address that was not seen before: a new table of routes.
Requests::Endpoint& Requests::learn(std::string_view route, size_t method) {
  const std::lock_guard lock(mutex_);
  Endpoint& endpoint = make(route, method);
  const Index& old = indexes_.back();
  const size_t size = (old.used + 1) * 2 > old.slots.size() ? old.slots.size() * 2 : old.slots.size();
  Index& index = indexes_.emplace_back(Index{size - 1, 0, std::vector<Index::Slot>(size)});
  const auto insert = [&index](const Index::Slot& slot) {
    size_t at = hash(slot.route, slot.method) & index.mask;
    while (index.slots[at].route != nullptr &&
           (index.slots[at].route != slot.route || index.slots[at].method != slot.method))
      at = (at + 1) & index.mask;
    if (index.slots[at].route == nullptr) ++index.used;
    index.slots[at] = slot;
  };
  for (const Index::Slot& slot : old.slots)
    if (slot.route != nullptr) insert(slot);
  insert({route.data(), method, &endpoint});
  index_.store(&index, std::memory_order_release);
  return endpoint;
}

Requests::Endpoint& Requests::make(std::string_view route, size_t method) {
  for (Endpoint& known : endpoints_)
    if (known.route == route && known.method == kMethods[method]) return known;
  Endpoint& endpoint = endpoints_.emplace_back();
  endpoint.of = this;
  endpoint.route = route;
  endpoint.method = kMethods[method];
  const std::array<std::string_view, 2> labels = {endpoint.route, endpoint.method};
  endpoint.active = host_.series(active_, labels);
  endpoint.latency = host_.series(latency_, labels);
  return endpoint;
}

uint32_t Requests::status_series(Endpoint& endpoint, int status) {
  std::atomic<uint32_t>& place = endpoint.by_status[static_cast<size_t>(std::clamp(status, 100, 599) - 100)];
  if (const uint32_t known = place.load(std::memory_order_relaxed); known != 0) return known;
  const std::string text = std::to_string(status);
  const uint32_t series =
      host_.series(requests_, std::array<std::string_view, 3>{endpoint.route, endpoint.method, text});
  place.store(series, std::memory_order_relaxed);
  return series;
}

uint32_t Requests::exception_series(Endpoint& endpoint, int status) {
  std::atomic<uint32_t>& place = endpoint.exceptions[static_cast<size_t>(std::clamp(status, 500, 599) - 500)];
  if (const uint32_t known = place.load(std::memory_order_relaxed); known != 0) return known;
  std::string type(bulkhead::reason_phrase(status));
  std::erase(type, ' ');
  const uint32_t series = host_.series(exceptions_, std::array<std::string_view, 2>{type, endpoint.route});
  place.store(series, std::memory_order_relaxed);
  return series;
}

void Requests::began(const bulkhead::Request& request) {
  Endpoint& endpoint = of(request);
  host_.record(endpoint.active, 1);
  request.on_end(
      [](void* arg) {
        const auto& ended = *static_cast<const Endpoint*>(arg);
        ended.of->host_.record(ended.active, -1);
      },
      &endpoint);
}

void Requests::ended(const bulkhead::Request& request) {
  const auto outcome = request.outcome();
  if (!outcome) return;
  Endpoint& endpoint = of(request);
  host_.record(status_series(endpoint, outcome->status), 1);
  host_.record(endpoint.latency, static_cast<double>(outcome->duration_ns) * 1e-9, request.handle());
  if (outcome->status >= 500) host_.record(exception_series(endpoint, outcome->status), 1);
}

}  // namespace metrics
