// bulkhead/timer.hpp - work later, or again and again. Made by Host::after and Host::every.
#ifndef BULKHEAD_TIMER_HPP
#define BULKHEAD_TIMER_HPP

#include <exception>
#include <functional>
#include <memory>
#include <utility>

#include "bulkhead/value.hpp"

namespace bulkhead {

// Ends with this object: its destructor returns when the work no longer runs, or at once inside it.
// The work runs on the executor, never two of a plugin at once.
class Timer {
 public:
  Timer() = default;
  // An empty one where the host refuses it, which it does once the plugin is stopping.
  Timer(const bh_host* host, uint64_t delay_ms, uint64_t period_ms, std::function<void()> work)
      : host_(host), work_(std::make_shared<Work>(Work{host, std::move(work), {}})) {
    work_->self = work_;
    id_ = host->timer(host, delay_ms, period_ms, &Work::run, work_.get());
  }
  Timer(Timer&& other) noexcept { swap(other); }
  Timer& operator=(Timer&& other) noexcept {
    Timer(std::move(other)).swap(*this);
    return *this;
  }
  ~Timer() {
    if (id_ != 0) host_->timer_cancel(host_, id_);
  }
  explicit operator bool() const { return id_ != 0; }

 private:
  struct Work {
    const bh_host* host;
    std::function<void()> work;
    std::weak_ptr<Work> self;

    static void run(void* arg) noexcept {
      // The work may replace its own timer.
      const std::shared_ptr<Work> kept = static_cast<Work*>(arg)->self.lock();
      if (!kept) return;
      const auto failed = [&](const char* why) {
        const bh_pair reason = to_pair("reason", why);
        kept->host->log(kept->host, nullptr, BH_ERROR, to_str("the work of a timer failed"), &reason, 1);
      };
      try {
        kept->work();
      } catch (const std::exception& error) {
        failed(error.what());
      } catch (...) {
        failed("threw something that is no std::exception");
      }
    }
  };

  void swap(Timer& other) noexcept {
    std::swap(host_, other.host_);
    std::swap(id_, other.id_);
    work_.swap(other.work_);
  }

  const bh_host* host_ = nullptr;
  uint64_t id_ = 0;
  std::shared_ptr<Work> work_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_TIMER_HPP
