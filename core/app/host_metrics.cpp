#include "core/app/host_metrics.hpp"

#include "bulkhead/status.hpp"
#include "bulkhead/value.hpp"
#include "core/app/host_metric.hpp"
#include "core/app/process_figures.hpp"
#include "core/runtime/ticks.hpp"
#include "core/version.hpp"

namespace bulkhead::app {

HostMetrics::HostMetrics(Sources sources) : from_(std::move(sources)) {
  const auto gauge = [this](std::string_view name, std::string_view help) {
    return series(metric(BH_GAUGE, name, help));
  };
  const auto counter = [this](std::string_view name, std::string_view help, const Labels& labels = {},
                              const Labels& values = {}) {
    return Growing{series(metric(BH_COUNTER, name, help, labels), values)};
  };
  gauges_.connections = gauge("bulkhead_connections", "Open connections.");
  gauges_.exchanges = gauge("bulkhead_exchanges", "Requests whose memory is in use: running, or held by a plugin.");
  gauges_.bodies = gauge("bulkhead_body_bytes", "Bytes of large request bodies in memory.");
  gauges_.loop_lag = gauge("bulkhead_loop_lag_seconds",
                           "Longest time that an I/O thread was busy with one batch of events within the last second: "
                           "the longest wait of an event.");
  gauges_.executor_queue = gauge("bulkhead_executor_queue", "Steps that wait for a thread of the executor.");
  gauges_.resident = gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
  gauges_.virtual_memory = gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.");
  gauges_.threads = gauge("process_threads", "Threads of the process.");
  gauges_.open_fds = gauge("process_open_fds", "Number of open file descriptors.");
  gauges_.max_fds = gauge("process_max_fds", "Maximum number of open file descriptors.");
  sums_.bytes_in = counter("bulkhead_received_bytes_total", "Bytes read from connections, without TLS.");
  sums_.bytes_out = counter("bulkhead_sent_bytes_total", "Bytes of answers written to connections, without TLS.");
  sums_.loop_busy = counter("bulkhead_loop_busy_seconds_total", "Time the I/O threads spent on events.");
  sums_.executor_tasks = counter("bulkhead_executor_tasks_total", "Tasks that a thread of the executor took.");
  sums_.executor_wait = counter("bulkhead_executor_wait_seconds_total", "Time tasks waited for a thread.");
  sums_.log_dropped = counter("bulkhead_log_dropped_total", "Log lines lost because the queue was full.");
  sums_.cpu = counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
  step_count_ =
      metric(BH_COUNTER, "bulkhead_steps_total", "Steps of plugins that ran.", {"plugin", "phase", "method", "route"});
  step_seconds_ = metric(BH_COUNTER, "bulkhead_step_seconds_total", "Time of plugins' steps, waiting included.",
                         {"plugin", "phase", "method", "route"});
  plugin_state_ = metric(BH_GAUGE, "bulkhead_plugin_state", "1 for the state a plugin is in, 0 for the others.",
                         {"plugin", "state"});
  for (const auto& plugin : from_.manager.instances())
    for (auto& each = plugin_series_.emplace_back();
         const int32_t state : {BH_STARTING, BH_READY, BH_DEGRADED, BH_FAILED})
      each[static_cast<size_t>(state)] = series(plugin_state_, {plugin->id(), health_name(state)});
  const uint32_t expiry = metric(BH_GAUGE, "bulkhead_certificate_expiry_timestamp_seconds",
                                 "Expiry of the listener's certificate, in seconds since 1970.", {"listen"});
  for (const Certificate& each : from_.certificates) certificate_series_.push_back(series(expiry, {each.listen}));
  set(series(metric(BH_GAUGE, "bulkhead_build_info", "1; what is running.", {"version", "abi"}),
             {kVersion, std::to_string(BH_ABI_MAJOR) + "." + std::to_string(BH_ABI_MINOR)}),
      1);
  set(gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
      process_figures().start_seconds);
}

uint32_t HostMetrics::metric(uint32_t kind, std::string_view name, std::string_view help, const Labels& labels) {
  return host_metric(from_.metrics, kind, name, help, labels);
}

uint32_t HostMetrics::series(uint32_t metric, const Labels& values) {
  std::vector<bh_str> texts;
  for (const std::string_view value : values) texts.push_back(to_str(value));
  uint32_t id = 0;
  from_.metrics.series(metric, texts.data(), texts.size(), &id);
  return id;
}

void HostMetrics::grow(Growing& sum, double now) const {
  if (now > sum.told) from_.metrics.record(sum.series, now - sum.told, nullptr);
  sum.told = now;
}

void HostMetrics::sample() {
  if (!from_.metrics.kept()) return;
  constexpr double kSecond = 1e-9;
  const http::Server::Figures server = from_.server.figures();
  set(gauges_.connections, static_cast<double>(server.connections));
  set(gauges_.exchanges, static_cast<double>(server.exchanges));
  set(gauges_.bodies, static_cast<double>(server.body_bytes));
  set(gauges_.loop_lag, static_cast<double>(server.longest_batch_ns) * kSecond);
  grow(sums_.bytes_in, static_cast<double>(server.bytes_in));
  grow(sums_.bytes_out, static_cast<double>(server.bytes_out));
  grow(sums_.loop_busy, static_cast<double>(server.busy_ns) * kSecond);
  const runtime::Executor::Figures executor = from_.executor.figures();
  set(gauges_.executor_queue, static_cast<double>(executor.queued));
  grow(sums_.executor_tasks, static_cast<double>(executor.taken));
  grow(sums_.executor_wait, static_cast<double>(executor.waited_ns) * kSecond);
  grow(sums_.log_dropped, static_cast<double>(from_.log.dropped()));
  const ProcessFigures process = process_figures();
  set(gauges_.resident, static_cast<double>(process.resident_bytes));
  set(gauges_.virtual_memory, static_cast<double>(process.virtual_bytes));
  set(gauges_.threads, static_cast<double>(process.threads));
  set(gauges_.open_fds, static_cast<double>(process.open_fds));
  set(gauges_.max_fds, static_cast<double>(process.max_fds));
  grow(sums_.cpu, process.cpu_seconds);
  for (size_t i = 0; i < from_.certificates.size(); ++i)
    set(certificate_series_[i], static_cast<double>(from_.certificates[i].tls->expires()));
  sample_plugins();
  sample_steps();
}

void HostMetrics::sample_plugins() {
  const auto& instances = from_.manager.instances();
  for (size_t i = 0; i < instances.size(); ++i) {
    const int32_t now = instances[i]->health().state;
    for (size_t state = 0; state < plugin_series_[i].size(); ++state)
      set(plugin_series_[i][state], static_cast<size_t>(now) == state ? 1 : 0);
  }
}

// Series come to be with the first step that runs: most steps of most routes never do.
void HostMetrics::sample_steps() {
  if (auto table = from_.manager.table(); table != table_) {
    table_ = std::move(table);
    steps_.assign(table_->labels.size(), {});
  }
  const double second = runtime::ns_per_tick() / 1e9;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const chain::Latency::Sum sum = table_->latency->sum(static_cast<uint32_t>(i));
    if (sum.count == 0) continue;
    StepSeries& step = steps_[i];
    if (step.count.series == 0) {
      const chain::StepLabel& label = table_->labels[i];
      const Labels values{label.plugin, label.phase, label.method, label.route};
      step.count.series = series(step_count_, values);
      step.seconds.series = series(step_seconds_, values);
    }
    grow(step.count, static_cast<double>(sum.count));
    grow(step.seconds, static_cast<double>(sum.ticks) * second);
  }
}

}  // namespace bulkhead::app
