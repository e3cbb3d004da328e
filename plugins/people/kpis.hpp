// Kpis: what the business asks about, as metrics. How many records by class and
// survival, and what is done with them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <utility>

#include "bulkhead/plugin.hpp"
#include "store.hpp"

namespace people {

enum class Operation : uint8_t { kRead, kList, kSearch, kCreate, kReplace, kChange, kRemove, kRestore };

class Kpis {
 public:
  explicit Kpis(const bulkhead::Host& host);

  // [any] One that succeeded.
  void count(Operation operation) const { host_.record(operations_[static_cast<size_t>(operation)], 1); }
  // Counts the records now and every `interval_s` seconds. Both outlive the timer, which the host
  // stops.
  void watch(const Store& store, uint64_t interval_s);

 private:
  void refresh();

  const bulkhead::Host host_;
  const Store* store_ = nullptr;
  std::array<uint32_t, 8> operations_{};
  std::map<std::pair<int64_t, bool>, uint32_t> records_;  // series by class and survival
  bulkhead::Timer timer_;
};

}  // namespace people
