// PoolMetrics: what the pool counts.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "job.hpp"

namespace database {

class PoolMetrics {
 public:
  // Registers them; `service` is the label of the gauges.
  PoolMetrics(const bulkhead::Host& host, std::string_view service);

  void sessions(size_t connected) const { host_.record(size_, static_cast<double>(connected)); }
  void idle_sessions(size_t idle) const { host_.record(available_, static_cast<double>(idle)); }
  // How long the job, or the batch it was part of, ran.
  void latency(const Job& job, uint64_t took_ns) const {
    host_.record(latency_[static_cast<size_t>(job.kind())], static_cast<double>(took_ns) * 1e-9, job.exchange());
  }
  // Lookups of one query, or writes of one transaction.
  void together(bool lookups, size_t count, bh_exchange* first) const {
    host_.record(together_[lookups ? 0 : 1], static_cast<double>(count), first);
  }

 private:
  const bulkhead::Host host_;
  uint32_t size_, available_;
  std::array<uint32_t, kJobKinds> latency_{};
  std::array<uint32_t, 2> together_{};
};

}  // namespace database
