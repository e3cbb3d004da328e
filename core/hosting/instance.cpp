#include "core/hosting/instance.hpp"

#include <chrono>

#include "bulkhead/status.hpp"
#include "bulkhead/text/glob.hpp"
#include "bulkhead/value.hpp"
#include "core/hosting/host_api.hpp"
#include "core/runtime/duty.hpp"
#include "core/runtime/frame.hpp"

namespace bulkhead::hosting {

Instance::Instance(Environment& environment, std::shared_ptr<Library> library, const config::PluginEntry& entry)
    : environment_(environment), library_(std::move(library)), entry_(entry) {
  config::wipe(&entry_.config);  // create() is given it; it may hold secrets
  owner_.id = entry.id;
  const bh_plugin& d = descriptor();
  for (size_t i = 0; i < d.grant_count; ++i) {
    const std::string_view grant = to_view(d.grants[i]);
    const size_t colon = grant.find(':');
    if (colon == std::string_view::npos) continue;
    grants_.emplace_back(grant.substr(0, colon), grant.substr(colon + 1));
  }
  owner_.sees_authorization = granted("header", "authorization");
  owner_.sees_cookie = granted("header", "cookie");
  may_identify_ = granted("phase", "authenticate");
  fill_host(*this, &host_);
}

Instance::~Instance() { retire(); }

bool Instance::granted(std::string_view kind, std::string_view what) const {
  for (const auto& [have, glob] : grants_)
    if (have == kind && !glob.empty() && bulkhead::glob_match(glob, what)) return true;
  return false;
}

// Runs one of the plugin's functions; what it throws becomes a reason like any other.
std::string Instance::call(const char* what, uint32_t limit_ms, const std::function<bh_status(bh_error*)>& function) {
  const runtime::Duty::Scope duty(runtime::control_duty, id(), what, limit_ms);
  bh_error err{};
  err.size = sizeof err;
  bh_status status = BH_OK;
  const std::string threw = runtime::contain({id(), what}, [&] { status = function(&err); });
  if (!threw.empty()) return std::string(what) + " " + threw;
  if (status == BH_OK) return {};
  return err.message[0] != '\0' ? std::string(err.message)
                                : std::string(what) + " failed with status " + std::to_string(status);
}

void Instance::call_logged(const char* what, const std::function<bh_status(bh_error*)>& function) {
  const std::string wrong = call(what, environment_.plugin_stop_ms, function);
  if (!wrong.empty()) environment_.log.write(telemetry::Level::kError, wrong, {{"plugin", id()}});
}

void Instance::run(const char* what, void (*work)(void*), void* arg) {
  const std::string threw = runtime::contain({id(), what}, [&] { work(arg); });
  if (!threw.empty()) environment_.log.write(telemetry::Level::kError, what + (" " + threw), {{"plugin", id()}});
}

std::string Instance::create(const config::Json& values) {
  life_ = Life::kCreating;
  std::string wrong = call("create", environment_.plugin_start_ms, [&](bh_error* err) {
    std::string text = values.dump();
    const bh_status status = descriptor().create(&host_, to_str(text), &self_, err);
    config::wipe(&text);
    return status;
  });
  if (wrong.empty())
    life_ = Life::kCreated;
  else
    withdraw();  // what it published is gone with it
  return wrong;
}

std::string Instance::start() {
  life_ = Life::kStarting;
  if (descriptor().start != nullptr) {
    std::string wrong =
        call("start", environment_.plugin_start_ms, [&](bh_error* err) { return descriptor().start(self_, err); });
    if (!wrong.empty()) return wrong;
  }
  life_ = Life::kLive;
  const std::lock_guard lock(mutex_);
  if (!health_told_) health_ = {BH_READY, ""};
  owner_.starting.store(health_.state == BH_STARTING, std::memory_order_release);
  return {};
}

void Instance::set_health(int32_t state, std::string_view why) {
  const std::lock_guard lock(mutex_);
  const Health before = std::exchange(health_, {state, std::string(why)});
  health_told_ = true;
  owner_.starting.store(state == BH_STARTING, std::memory_order_release);
  const bool changed = before.state != state || before.why != why;
  if (!changed || (life_ != Life::kStarting && life_ != Life::kLive)) return;
  const bool ill = state == BH_DEGRADED || state == BH_FAILED;
  const bool recovered = state == BH_READY && (before.state == BH_DEGRADED || before.state == BH_FAILED);
  environment_.log.write(ill         ? telemetry::Level::kWarn
                         : recovered ? telemetry::Level::kInfo
                                     : telemetry::Level::kDebug,
                         "plugin health", {{"plugin", id()}, {"state", health_name(state)}, {"why", health_.why}});
}

std::string Instance::configure(const config::Json& values, bh_status* status) {
  *status = BH_E_RESTART;
  if (life_ != Life::kLive || descriptor().configure == nullptr) return "it cannot change while it runs";
  return call("configure", environment_.plugin_start_ms, [&](bh_error* err) {
    std::string text = values.dump();
    *status = descriptor().configure(self_, to_str(text), err);
    config::wipe(&text);
    return *status;
  });
}

void Instance::quiesce() {
  {
    const std::lock_guard lock(mutex_);
    if (life_ != Life::kLive) return;
    life_ = Life::kDraining;
  }
  if (descriptor().quiesce != nullptr)
    call_logged("quiesce", [&](bh_error*) {
      descriptor().quiesce(self_);
      return BH_OK;
    });
}

void Instance::task_ended() {
  // Under the lock: once it sees none left, this object may go.
  const std::lock_guard lock(mutex_);
  if (tasks_.fetch_sub(1, std::memory_order_acq_rel) == 1) idle_.notify_all();
}

void Instance::withdraw() {
  if (metric_sink_) environment_.metrics.clear_sink();
  if (trace_sink_) environment_.tracing.clear_sink();
  if (log_sink_) environment_.log.clear_sink();
  environment_.services.withdraw(this);
}

void Instance::settle() {
  const runtime::Duty::Scope duty(runtime::control_duty, id(), "a posted task or timer", environment_.plugin_stop_ms);
  std::set<uint64_t> timers;
  {
    const std::lock_guard lock(mutex_);
    timers.swap(timers_);
  }
  for (const uint64_t id : timers) environment_.timers.cancel(id);
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return tasks_.load(std::memory_order_acquire) == 0; });
}

void Instance::retire() {
  if (life_ == Life::kRetired) return;
  quiesce();
  settle();
  withdraw();
  const bool started = life_ == Life::kDraining;
  life_ = Life::kStopped;
  if (started && descriptor().stop != nullptr)
    call_logged("stop", [&](bh_error*) {
      descriptor().stop(self_);
      return BH_OK;
    });
  if (self_ != nullptr)
    call_logged("destroy", [&](bh_error*) {
      descriptor().destroy(self_);
      return BH_OK;
    });
  self_ = nullptr;
  for (Lease* lease : leases_) {
    lease->provider->leases.fetch_sub(1);
    delete lease;
  }
  leases_.clear();
  life_ = Life::kRetired;
}

chain::OrderRule Instance::order_rule() const {
  chain::OrderRule rule;
  rule.id = owner_.id;
  const bh_plugin& d = descriptor();
  for (size_t i = 0; i < d.after_count; ++i) rule.after.emplace_back(to_view(d.after[i]));
  for (size_t i = 0; i < d.before_count; ++i) rule.before.emplace_back(to_view(d.before[i]));
  rule.operator_after = entry_.after;
  rule.operator_before = entry_.before;
  return rule;
}

Instance::Health Instance::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

}  // namespace bulkhead::hosting
