#include "core/app/blocked_log.hpp"

#include <memory>
#include <string>
#include <utility>

#include "bulkhead/value.hpp"
#include "core/app/host_metric.hpp"

namespace bulkhead::app {

using telemetry::Level;

BlockedLog::BlockedLog(telemetry::Log& log, telemetry::Metrics& metrics, runtime::Executor& executor)
    : log_(log), metrics_(metrics), executor_(executor) {
  metric_ = host_metric(metrics, BH_COUNTER, "bulkhead_io_blocked_total",
                        "How often an I/O thread was held up for over 100 ms, by the plugin it was in.", {"plugin"});
}

void BlockedLog::operator()(const http::Blocked& blocked) const {
  auto work = std::make_unique<std::pair<const BlockedLog*, http::Blocked>>(this, blocked);
  const auto run = [](const runtime::Task& task) {
    const std::unique_ptr<std::pair<const BlockedLog*, http::Blocked>> own(
        static_cast<std::pair<const BlockedLog*, http::Blocked>*>(task.a));
    own->first->tell(own->second);
  };
  const runtime::Task task{run, work.release()};
  if (!executor_.submit(task, true)) run(task);  // it has stopped
}

void BlockedLog::tell(const http::Blocked& blocked) const {
  const telemetry::Whereabouts where = blocked.where.value_or(telemetry::Whereabouts{"unknown", "", "", "", ""});
  const std::string plugin = where.plugin.empty() ? "host" : where.plugin;
  const std::string thread = std::to_string(blocked.thread), ms = std::to_string(blocked.for_ms);
  const std::string moved = std::to_string(blocked.handed_over);
  if (blocked.over) {
    log_.write(Level::kInfo, "an I/O thread that was blocked goes on",
               {{"plugin", plugin}, {"thread", thread}, {"blocked_ms", ms}, {"connections_moved", moved}});
    return;
  }
  log_.write(Level::kWarn, "an I/O thread is blocked; what blocks belongs on the executor (BH_BLOCKING)",
             {{"plugin", plugin},
              {"step", where.step},
              {"route", where.route},
              {"request_id", where.request_id},
              {"thread", thread},
              {"blocked_ms", ms},
              {"stack", where.stack}});
  const bh_str label = to_str(plugin);
  uint32_t series = 0;
  if (metrics_.series(metric_, &label, 1, &series).empty()) metrics_.record(series, 1, nullptr);
}

}  // namespace bulkhead::app
