// Exchange: one request and its answer, from the first byte to COMPLETE.
//
// Two counters. References keep the memory; holds are what plugins retain. An exchange belongs to
// one I/O thread, its home: only that thread takes it further. From any thread: hold, release, the
// answer, notes, a wake.
//
// What takes it through its phases derives from it (chain::Run).
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "core/exchange/answer.hpp"
#include "core/exchange/home.hpp"
#include "core/exchange/notes.hpp"
#include "core/exchange/request.hpp"

namespace bulkhead::exchange {

class Exchange : public runtime::DeadlineEntry {
 public:
  explicit Exchange(Home& home) : home_(home) {}
  virtual ~Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  static Exchange* of(bh_exchange* handle) { return reinterpret_cast<Exchange*>(handle); }
  bh_exchange* handle() { return reinterpret_cast<bh_exchange*>(this); }

  Request request;
  Answer answer;
  Notes notes;

  // ---- [any]
  void ref() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void unref();
  bool unreferenced() const { return refs_.load(std::memory_order_acquire) == 0; }
  void hold() {
    holds_.fetch_add(1, std::memory_order_relaxed);
    ref();
  }
  void unhold();
  uint32_t holds() const { return holds_.load(std::memory_order_acquire); }
  // Asks the home thread to look at this exchange again. Cheap when already asked.
  void wake();
  // Calls the plugin soon, on the home thread. It holds the exchange until then.
  void call_at_home(const Notes::Callback& call);
  // False once its answer is out, or cannot get out any more.
  bool live() const { return live_.load(std::memory_order_acquire); }

  // This thread is inside a step of the exchange: what the step causes is seen when it returns, no
  // wake is needed. `ticket` tells the steps of the executor apart.
  class StepScope {
   public:
    StepScope(Exchange& ex, uint32_t ticket) : outer_(stepping_), outer_ticket_(step_ticket_) {
      stepping_ = &ex;
      step_ticket_ = ticket;
    }
    ~StepScope() {
      stepping_ = outer_;
      step_ticket_ = outer_ticket_;
    }
    StepScope(const StepScope&) = delete;
    StepScope& operator=(const StepScope&) = delete;

   private:
    Exchange* const outer_;
    const uint32_t outer_ticket_;
  };
  bool stepping_here() const { return stepping_ == this; }
  static uint32_t step_ticket() { return step_ticket_; }

  // ---- home thread
  Home& home() { return home_; }
  void end_life() { live_.store(false, std::memory_order_release); }
  // A wake has arrived: runs what waits in call_at_home(), then the exchange goes on.
  void woken();
  // For the next request.
  virtual void clear();

  Exchange* next_queued = nullptr;  // in its home's inbox

 protected:
  // Takes the exchange as far as it can go.
  virtual void go_on() = 0;
  virtual void call(const Notes::Callback& due) = 0;

 private:
  static inline thread_local Exchange* stepping_ = nullptr;
  static inline thread_local uint32_t step_ticket_ = 0;

  void post();

  Home& home_;
  std::atomic<uint32_t> refs_{0}, holds_{0};
  std::atomic<bool> live_{true}, queued_{false}, has_calls_{false};
  std::mutex mutex_;  // what follows
  std::vector<Notes::Callback> calls_;
};

}  // namespace bulkhead::exchange
