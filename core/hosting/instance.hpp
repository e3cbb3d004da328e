// Instance: one configured plugin, from create to destroy, and the host as it sees it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.h"
#include "core/chain/order.hpp"
#include "core/chain/table.hpp"
#include "core/config/model.hpp"
#include "core/hosting/library.hpp"
#include "core/hosting/services.hpp"
#include "core/runtime/executor.hpp"
#include "core/runtime/timers.hpp"
#include "core/telemetry/log.hpp"
#include "core/telemetry/metrics.hpp"
#include "core/telemetry/tracing.hpp"

namespace bulkhead::hosting {

class Manager;

// What the host lends to every instance.
struct Environment {
  Environment(telemetry::Log& l, telemetry::Metrics& m, telemetry::Tracing& t, runtime::Executor& e, runtime::Timers& i,
              Services& s)
      : log(l), metrics(m), tracing(t), executor(e), timers(i), services(s) {}

  telemetry::Log& log;
  telemetry::Metrics& metrics;
  telemetry::Tracing& tracing;
  runtime::Executor& executor;
  runtime::Timers& timers;
  Services& services;
  const Manager* manager = nullptr;                  // for bh.introspect/1
  uint32_t plugin_start_ms = 0, plugin_stop_ms = 0;  // 0: no limit
  std::atomic<bool> draining{false};                 // told to stop: answers what runs, takes nothing new
};

enum class Life : uint8_t { kMapped, kCreating, kCreated, kStarting, kLive, kDraining, kStopped, kRetired };

class Instance {
 public:
  Instance(Environment& environment, std::shared_ptr<Library> library, const config::PluginEntry& entry);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  // ---- control thread. Empty on success, else the reason.
  std::string create(const config::Json& values);
  std::string start();
  // Gives a live plugin another configuration. BH_E_RESTART in *status: it takes that only when
  // made anew.
  std::string configure(const config::Json& values, bh_status* status);
  void quiesce();
  // Waits for posted tasks and timers, then stop and destroy. Safe in any state.
  void retire();

  const std::string& id() const { return owner_.id; }
  const bh_plugin& descriptor() const { return library_->descriptor(); }
  const std::string& file() const { return library_->path(); }
  const config::PluginEntry& entry() const { return entry_; }
  void* self() const { return self_; }
  // What it offers under this id, or null.
  const void* extension(bh_str id) const {
    return descriptor().extension != nullptr && self_ != nullptr ? descriptor().extension(self_, id) : nullptr;
  }
  chain::OrderRule order_rule() const;
  const std::vector<chain::Route>& routes() const { return routes_; }
  const std::vector<chain::Hook>& hooks() const { return hooks_; }

  struct Health {
    int32_t state;
    std::string why;
  };
  bool started() const { return life_ != Life::kMapped && life_ != Life::kCreating && life_ != Life::kCreated; }
  Health health() const;                                 // [any]
  void set_health(int32_t state, std::string_view why);  // [any] a change is logged

 private:
  friend struct HostApi;
  friend struct ExchangeApi;
  friend struct ExtensionApi;
  friend struct CheckedApi;

  bool setting_up() const { return life_ == Life::kCreating || life_ == Life::kStarting; }
  bool granted(std::string_view kind, std::string_view what) const;
  std::string call(const char* what, uint32_t limit_ms, const std::function<bh_status(bh_error*)>& function);
  // What it fails with is logged.
  void call_logged(const char* what, const std::function<bh_status(bh_error*)>& function);
  // Runs what the plugin gave the host to run. What it throws is logged.
  void run(const char* what, void (*work)(void*), void* arg);
  void task_begun() { tasks_.fetch_add(1, std::memory_order_acq_rel); }
  void task_ended();
  // Returns when nothing that it posted or timed runs, or will.
  void settle();
  // Withdraws its services and sinks.
  void withdraw();

  Environment& environment_;
  std::shared_ptr<Library> library_;
  config::PluginEntry entry_;  // without its configuration
  bh_host host_{};
  bh_host unchecked_{};  // in checked mode: what stands behind the checks
  chain::Owner owner_;
  std::atomic<Life> life_{Life::kMapped};
  void* self_ = nullptr;
  std::vector<std::pair<std::string, std::string>> grants_;  // kind, glob
  bool may_identify_ = false, metric_sink_ = false, trace_sink_ = false, log_sink_ = false;

  std::vector<chain::Route> routes_;
  std::vector<chain::Hook> hooks_;

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  Health health_{BH_STARTING, "starting"};
  bool health_told_ = false;
  std::set<uint64_t> timers_;
  std::set<Lease*> leases_;
  std::atomic<size_t> tasks_{0};
};

}  // namespace bulkhead::hosting
