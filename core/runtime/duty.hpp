// Duty: what the control thread does at the moment and has to be done with in time, for the thread
// that watches over it.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "core/runtime/clock.hpp"

namespace bulkhead::runtime {

class Duty {
 public:
  struct State {
    std::string plugin, what;  // "people", "start"; the host's own: "", "the drain"
    uint64_t began_ns = 0;
    uint32_t limit_ms = 0;  // 0: none
    bool overdue(uint64_t now) const { return limit_ms != 0 && now > began_ns + uint64_t{limit_ms} * 1'000'000; }
  };

  // The control thread is at it as long as this lives. Nested ones are looked at alone.
  class Scope {
   public:
    Scope(Duty& duty, std::string plugin, std::string what, uint32_t limit_ms) : duty_(duty) {
      outer_ = duty_.change(State{std::move(plugin), std::move(what), now_ns(), limit_ms});
    }
    ~Scope() { duty_.change(std::move(outer_)); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Duty& duty_;
    std::optional<State> outer_;
  };

  // [any]
  std::optional<State> state() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }

 private:
  std::optional<State> change(std::optional<State> next) {
    const std::lock_guard lock(mutex_);
    return std::exchange(state_, std::move(next));
  }

  mutable std::mutex mutex_;
  std::optional<State> state_;
};

// Of this process, which has one control thread.
inline Duty control_duty;

}  // namespace bulkhead::runtime
