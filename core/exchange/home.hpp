// Home: the I/O thread an exchange lives on.
#pragma once

#include <cstddef>

#include "core/runtime/deadline.hpp"
#include "core/runtime/gate.hpp"
#include "core/runtime/slab.hpp"

namespace bulkhead::exchange {

class Exchange;

class Home {
 public:
  explicit Home(size_t number) : number_(number) {}
  // Its place among the I/O threads.
  size_t number() const { return number_; }
  // Open while a plugin's step runs on the home thread.
  runtime::Gate& gate() { return gate_; }

  // ---- [any]
  // Calls woken() of the exchange soon, on the home thread, or recycles it where nothing refers to
  // it any more.
  virtual void post(Exchange* exchange) = 0;
  virtual bool on_thread() const = 0;

  // ---- home thread
  virtual void recycle(Exchange* exchange) = 0;
  virtual runtime::DeadlineQueue& deadlines() = 0;
  virtual void give_slab(runtime::SlabRef slab) = 0;
  // Bytes of a body are in memory no longer; they counted against the limit for all bodies.
  virtual void body_released(size_t bytes) = 0;

 protected:
  ~Home() = default;

 private:
  const size_t number_;
  runtime::Gate gate_;
};

}  // namespace bulkhead::exchange
