#include "core/exchange/exchange.hpp"

namespace bulkhead::exchange {

void Exchange::unref() {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (home_.on_thread() && !home_.gate().is_open())
    home_.recycle(this);
  else
    home_.post(this);
}

void Exchange::unhold() {
  if (holds_.fetch_sub(1, std::memory_order_acq_rel) == 1) wake();
  unref();
}

void Exchange::post() {
  if (queued_.exchange(true, std::memory_order_acq_rel)) return;
  ref();
  home_.post(this);
}

void Exchange::wake() {
  if (!stepping_here()) post();
}

void Exchange::call_at_home(const Notes::Callback& call) {
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back(call);
    has_calls_.store(true, std::memory_order_release);
  }
  post();  // also from a step of its own: what runs at home waits for that to return
}

void Exchange::woken() {
  queued_.exchange(false, std::memory_order_acq_rel);  // a full fence: what is read next is as new as the wake
  if (has_calls_.load(std::memory_order_acquire)) {
    std::vector<Notes::Callback> due;
    {
      const std::lock_guard lock(mutex_);
      due.swap(calls_);
      has_calls_.store(false, std::memory_order_relaxed);
    }
    for (const Notes::Callback& each : due) call(each);
  }
  go_on();
}

void Exchange::clear() {
  home_.deadlines().disarm(*this);
  answer.clear();
  notes.clear();
  request.clear(home_);
  live_.store(true, std::memory_order_relaxed);
}

}  // namespace bulkhead::exchange
