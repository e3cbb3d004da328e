// bulkhead/host.hpp - what the host does for a plugin: log, clock, health, timers, services,
// metrics, spans.
#ifndef BULKHEAD_HOST_HPP
#define BULKHEAD_HOST_HPP

#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/exchange.hpp"
#include "bulkhead/timer.hpp"
#include "bulkhead/value.hpp"

namespace bulkhead {

// A service acquired from another plugin, released with this object.
template <typename Api>
class Service {
 public:
  Service() = default;
  Service(const bh_host* host, const bh_service& service) : host_(host), service_(service) {}
  Service(Service&& other) noexcept : host_(std::exchange(other.host_, nullptr)), service_(other.service_) {}
  Service& operator=(Service&& other) noexcept {
    std::swap(host_, other.host_);
    std::swap(service_, other.service_);
    return *this;
  }
  ~Service() {
    if (host_ != nullptr) host_->release(host_, &service_);
  }
  const Api* operator->() const { return static_cast<const Api*>(service_.api); }
  void* self() const { return service_.self; }
  explicit operator bool() const { return host_ != nullptr; }

 private:
  const bh_host* host_ = nullptr;
  bh_service service_{};
};

// Work that is timed and shown in traces. Begun and ended on any threads, used by one at a time.
class Span {
 public:
  Span() = default;
  Span(const bh_host* host, bh_span* span) : host_(host), span_(span) {}
  Span(Span&& other) noexcept : host_(other.host_), span_(std::exchange(other.span_, nullptr)) {}
  Span& operator=(Span&& other) noexcept {
    std::swap(host_, other.host_);
    std::swap(span_, other.span_);
    return *this;
  }
  ~Span() { end(); }

  void tag(std::string_view key, std::string_view value) {
    bh_value v{};
    v.kind = BH_TEXT;
    v.as.s = to_str(value);
    put(key, v);
  }
  void tag(std::string_view key, int64_t value) {
    bh_value v{};
    v.kind = BH_INT;
    v.as.i = value;
    put(key, v);
  }
  // Of what else it belongs to: a traceparent, as another span's context() gives it.
  void link(std::string_view traceparent) { tag("link", traceparent); }
  // The value of the header `traceparent` for an outbound call; "" where there is no trace.
  std::string context() const {
    char text[56] = "";
    if (span_ != nullptr) host_->span_context(span_, text);
    return text;
  }
  // Once; what follows does nothing.
  void end(bh_status outcome = BH_OK) {
    if (span_ != nullptr) host_->span_end(std::exchange(span_, nullptr), outcome);
  }
  bh_span* handle() const { return span_; }

 private:
  void put(std::string_view key, const bh_value& value) {
    if (span_ != nullptr) host_->span_tag(span_, to_str(key), &value);
  }

  const bh_host* host_ = nullptr;
  bh_span* span_ = nullptr;
};

class Host {
 public:
  using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  explicit Host(const bh_host* host) : host_(host) {}

  void log(int32_t level, std::string_view message, Fields fields = {}, bh_exchange* ex = nullptr) const {
    if (host_->log_enabled(host_, level) == 0) return;
    std::vector<bh_pair> pairs;
    for (const auto& [name, value] : fields) pairs.push_back({to_str(name), to_str(value)});
    host_->log(host_, ex, level, to_str(message), pairs.data(), pairs.size());
  }
  void info(std::string_view message, Fields fields = {}) const { log(BH_INFO, message, fields); }
  void warn(std::string_view message, Fields fields = {}) const { log(BH_WARN, message, fields); }
  void error(std::string_view message, Fields fields = {}) const { log(BH_ERROR, message, fields); }
  // Monotonic; the clock of deadlines.
  uint64_t now_ns() const { return host_->now_ns(host_); }
  void health(int32_t state, std::string_view why = {}) const { host_->health(host_, state, to_str(why)); }
  // The plugin's name in the configuration.
  std::string_view instance() const { return to_view(host_->instance); }
  // Of the host program.
  std::string_view version() const { return to_view(host_->version); }

  // ---- work later and elsewhere
  [[nodiscard]] Timer after(uint64_t delay_ms, std::function<void()> work) const {
    return {host_, delay_ms, 0, std::move(work)};
  }
  [[nodiscard]] Timer every(uint64_t period_ms, std::function<void()> work) const {
    return {host_, period_ms, period_ms, std::move(work)};
  }
  // Runs work() once on the executor, which may block and compute. False, and the work is gone,
  // where it is full.
  template <typename Work>
  bool post(Work work) const {
    struct Posted {
      Host host;
      Work work;
    };
    auto posted = std::make_unique<Posted>(Posted{*this, std::move(work)});
    const auto run = [](void* arg) noexcept {
      const std::unique_ptr<Posted> mine(static_cast<Posted*>(arg));
      try {
        mine->work();
      } catch (const std::exception& error) {
        mine->host.error("work on the executor failed", {{"reason", error.what()}});
      } catch (...) {
        mine->host.error("work on the executor failed", {{"reason", "threw something that is no std::exception"}});
      }
    };
    if (host_->post(host_, run, posted.get()) != BH_OK) return false;
    static_cast<void>(posted.release());
    return true;
  }

  // Throws Failure where it is absent, too old or not granted.
  template <typename Api>
  Service<Api> acquire(std::string_view id, uint32_t min_version) const {
    bh_service service = sized<bh_service>();
    bh_error err = sized<bh_error>();
    if (const bh_status status = host_->acquire(host_, to_str(id), min_version, &service, &err); status != BH_OK)
      throw Failure(status, err.message);
    return Service<Api>(host_, service);
  }
  // Throws Failure where the id is not among the offers or taken. create and start only.
  void publish(std::string_view id, uint32_t version, const void* api, void* self) const {
    if (const bh_status status = host_->publish(host_, to_str(id), version, api, self); status != BH_OK)
      throw Failure(status, "cannot publish " + std::string(id));
  }
  template <typename Api>
  const Api* extension(std::string_view id) const {
    return static_cast<const Api*>(host_->extension(host_, to_str(id)));
  }

  // Registers a metric (create and start only) and gives one of its series. 0 = refused; recording
  // to 0 does nothing.
  uint32_t metric(uint32_t kind, std::string_view name, std::string_view help,
                  std::span<const std::string_view> labels = {}, std::span<const double> buckets = {}) const {
    std::vector<bh_str> names;
    for (const std::string_view label : labels) names.push_back(to_str(label));
    bh_metric m = sized<bh_metric>();
    m.kind = kind;
    m.name = to_str(name);
    m.help = to_str(help);
    m.labels = names.data();
    m.label_count = names.size();
    m.buckets = buckets.empty() ? nullptr : buckets.data();
    m.bucket_count = buckets.size();
    uint32_t id = 0;
    return host_->metric(host_, &m, &id) == BH_OK ? id : 0;
  }
  uint32_t series(uint32_t metric, std::span<const std::string_view> labels = {}) const {
    std::vector<bh_str> values;
    for (const std::string_view label : labels) values.push_back(to_str(label));
    uint32_t id = 0;
    return metric != 0 && host_->series(host_, metric, values.data(), values.size(), &id) == BH_OK ? id : 0;
  }
  void record(uint32_t series, double value, bh_exchange* exemplar = nullptr) const {
    host_->record(host_, series, value, exemplar);
  }
  // On behalf of a request, below another span, or neither.
  Span span(std::string_view name, int32_t kind, bh_exchange* ex, const Span* parent = nullptr) const {
    return {host_, host_->span(host_, ex, parent != nullptr ? parent->handle() : nullptr, kind, to_str(name))};
  }
  ExchangeView view(bh_exchange* ex) const { return {host_, ex}; }
  // For the C++ face itself.
  const bh_host* raw() const { return host_; }

 private:
  const bh_host* host_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_HOST_HPP
