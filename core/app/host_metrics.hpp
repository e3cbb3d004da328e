// HostMetrics: the host's own metrics, recorded once a second.
//
// Sums are taken where they arise without a shared cache line; here they are only
// read, so that nothing of this is on a request's way.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/chain/table.hpp"
#include "core/hosting/manager.hpp"
#include "core/http/server.hpp"
#include "core/runtime/executor.hpp"
#include "core/telemetry/log.hpp"
#include "core/telemetry/metrics.hpp"

namespace bulkhead::app {

class HostMetrics {
 public:
  struct Certificate {
    std::string listen;
    std::shared_ptr<http::tls::Context> tls;
  };
  struct Sources {
    telemetry::Metrics& metrics;
    const telemetry::Log& log;
    const runtime::Executor& executor;
    const hosting::Manager& manager;
    const http::Server& server;
    std::vector<Certificate> certificates;
  };

  explicit HostMetrics(Sources sources);
  // One thread at a time.
  void sample();

 private:
  // A sum that only grows, recorded as what came since.
  struct Growing {
    uint32_t series = 0;
    double told = 0;
  };
  struct StepSeries {
    Growing count, seconds;
  };
  using Labels = std::vector<std::string_view>;

  uint32_t metric(uint32_t kind, std::string_view name, std::string_view help, const Labels& labels = {});
  uint32_t series(uint32_t metric, const Labels& values = {});
  void set(uint32_t series, double value) const { from_.metrics.record(series, value, nullptr); }
  void grow(Growing& sum, double now) const;
  void sample_steps();
  void sample_plugins();

  const Sources from_;
  struct {
    uint32_t connections, exchanges, bodies, loop_lag, executor_queue, resident, virtual_memory, threads, open_fds,
        max_fds;
  } gauges_{};
  struct {
    Growing bytes_in, bytes_out, loop_busy, executor_tasks, executor_wait, log_dropped, cpu;
  } sums_{};
  uint32_t step_count_ = 0, step_seconds_ = 0, plugin_state_ = 0;
  std::shared_ptr<const chain::Table> table_;
  std::vector<StepSeries> steps_;                       // by the step's number in the table
  std::vector<std::array<uint32_t, 4>> plugin_series_;  // of each instance, by state
  std::vector<uint32_t> certificate_series_;
};

}  // namespace bulkhead::app
