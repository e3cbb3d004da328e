// Latency: wall time of every step of every route, by the plugin it belongs to.
//
// Always on. An I/O thread counts in a row of its own, without a lock or a shared
// cache line; a reader adds the rows up. What a step waits for, a pending answer or
// the executor's queue, counts as its time.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace bulkhead::chain {

class Latency {
 public:
  static constexpr size_t kThreads = 256;
  struct Sum {
    uint64_t count = 0, ticks = 0;
  };

  explicit Latency(size_t steps) : steps_(steps) {}
  ~Latency() {
    for (auto& row : rows_) delete[] row.load(std::memory_order_relaxed);
  }
  Latency(const Latency&) = delete;
  Latency& operator=(const Latency&) = delete;

  // `thread` is the caller's own number, below kThreads.
  void add(size_t thread, uint32_t step, uint64_t ticks) {
    Cell* row = rows_[thread].load(std::memory_order_relaxed);
    if (row == nullptr) {
      row = std::make_unique<Cell[]>(steps_).release();
      rows_[thread].store(row, std::memory_order_release);
    }
    Cell& cell = row[step];
    cell.count.store(cell.count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    cell.ticks.store(cell.ticks.load(std::memory_order_relaxed) + ticks, std::memory_order_relaxed);
  }
  // [any]
  Sum sum(uint32_t step) const {
    Sum sum;
    for (const auto& each : rows_) {
      const Cell* row = each.load(std::memory_order_acquire);
      if (row == nullptr) continue;
      sum.count += row[step].count.load(std::memory_order_relaxed);
      sum.ticks += row[step].ticks.load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  struct Cell {
    std::atomic<uint64_t> count{0}, ticks{0};
  };

  const size_t steps_;
  std::array<std::atomic<Cell*>, kThreads> rows_{};
};

}  // namespace bulkhead::chain
