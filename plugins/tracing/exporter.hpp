// Exporter: a bounded queue of items and the thread that sends them in batches.
//
// As OpenTelemetry's batch processor: a batch goes when it is full or the oldest item has waited,
// never two at once; what finds the queue full is dropped and counted. Only its own thread waits
// for the collector.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "delivery.hpp"
#include "otlp.hpp"

namespace tracing {

struct BatchSettings {
  size_t queue = 2048;  // items
  size_t batch = 512;
  uint32_t delay_ms = 5000;
};

// What became of the items, as metrics. One object for all signals.
class ExportMetrics {
 public:
  explicit ExportMetrics(const bulkhead::Host& host);

  struct Signal {
    uint32_t exported, queue_full, failed, rejected, refused, queued, good, bad, seconds;
  };
  Signal of(std::string_view signal) const;
  const bulkhead::Host& host() const { return host_; }

 private:
  const bulkhead::Host host_;
  uint32_t exported_ = 0, dropped_ = 0, queued_ = 0, requests_ = 0, seconds_ = 0;
};

// Scheme, host and path: what else an URL has may be secret.
std::string show_url(std::string_view url);

// The part that does not depend on the items.
class Sender {
 public:
  Sender(const ExportMetrics& metrics, std::string_view signal, DeliverySettings settings)
      : host_(metrics.host()),
        metrics_(metrics.of(signal)),
        signal_(signal),
        shown_url_(show_url(settings.url)),
        delivery_(std::move(settings)) {}

  void send(const std::string& body, uint64_t items);
  void dropped_at_queue(uint64_t items) const { host_.record(metrics_.queue_full, static_cast<double>(items)); }
  void dropped_unsent(uint64_t items) const { host_.record(metrics_.failed, static_cast<double>(items)); }
  void queued(uint64_t items) const { host_.record(metrics_.queued, static_cast<double>(items)); }
  Delivery& delivery() { return delivery_; }
  bool json() const { return delivery_.settings().json; }

 private:
  enum class State : uint8_t { kGood, kUnreachable, kRefused, kPartly };
  void tell(State state, const std::string& problem);

  const bulkhead::Host host_;
  const ExportMetrics::Signal metrics_;
  const std::string signal_;
  const std::string shown_url_;
  Delivery delivery_;
  State told_ = State::kGood;
};

template <typename Item>
class Exporter {
 public:
  struct Functions {
    std::function<std::string(std::vector<Item>&, bool json)> encode;
    std::function<uint32_t(const Item&)> weight;  // how many items of the queue it is
    std::function<void(Item&)> release;
  };

  Exporter(const ExportMetrics& metrics, std::string_view signal, DeliverySettings delivery, BatchSettings batch,
           Functions functions)
      : sender_(metrics, signal, std::move(delivery)), settings_(batch), functions_(std::move(functions)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Exporter() {
    stop(std::chrono::milliseconds(0));
    join();
  }
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  // [any]
  void add(Item item) {
    const uint32_t weight = functions_.weight(item);
    {
      std::unique_lock lock(mutex_);
      if (waiting_ + weight <= settings_.queue && !stopping_) {
        const bool was_full = waiting_ >= settings_.batch;
        waiting_ += weight;
        queue_.push_back({std::move(item), weight, Clock::now()});
        const bool wake = !was_full && waiting_ >= settings_.batch;
        lock.unlock();
        if (wake) wake_.notify_one();
        return;
      }
    }
    sender_.dropped_at_queue(weight);
    functions_.release(item);
  }

  // Sends what waits, for so long; counts what is left. join() waits for that.
  void stop(std::chrono::milliseconds patience) {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(stopping_, true)) return;
    }
    sender_.delivery().stop(patience);
    wake_.notify_one();
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Queued {
    Item item;
    uint32_t weight;
    Clock::time_point since;
  };

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      const Clock::time_point due =
          (queue_.empty() ? Clock::now() : queue_.front().since) + std::chrono::milliseconds(settings_.delay_ms);
      wake_.wait_until(lock, due, [this] { return stopping_ || waiting_ >= settings_.batch; });
      sender_.queued(waiting_);
      if (queue_.empty()) {
        if (stopping_) return;
        continue;
      }
      uint32_t weight = 0;
      std::vector<Item> batch;
      while (!queue_.empty() && (batch.empty() || weight + queue_.front().weight <= settings_.batch)) {
        weight += queue_.front().weight;
        batch.push_back(std::move(queue_.front().item));
        queue_.pop_front();
      }
      waiting_ -= weight;
      lock.unlock();
      send(batch, weight);
      lock.lock();
    }
  }

  void send(std::vector<Item>& batch, uint32_t weight) {
    bool released = false;
    const auto release = [&] {
      if (!std::exchange(released, true))
        for (Item& item : batch) functions_.release(item);
    };
    try {
      const std::string body = functions_.encode(batch, sender_.json());
      release();
      sender_.send(body, weight);
    } catch (const std::exception&) {  // no memory: these are lost
      release();
      sender_.dropped_unsent(weight);
    }
  }

  Sender sender_;
  const BatchSettings settings_;
  const Functions functions_;
  std::thread thread_;
  std::mutex mutex_;  // what follows
  std::condition_variable wake_;
  std::deque<Queued> queue_;
  uint64_t waiting_ = 0;  // weight of the queue
  bool stopping_ = false;
};

}  // namespace tracing
