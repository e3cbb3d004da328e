#include "core/app/host.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>

#include "bulkhead/extensions/notes.h"
#include "bulkhead/extensions/reopen.h"
#include "core/app/host_metric.hpp"
#include "core/app/warnings.hpp"
#include "core/exchange/exchange.hpp"
#include "core/runtime/duty.hpp"
#include "core/runtime/frame.hpp"
#include "core/telemetry/trace_ids.hpp"
#include "core/version.hpp"

namespace bulkhead::app {

using telemetry::Level;

namespace {
constexpr uint64_t kCertificateCheckMs = 2'000;
constexpr uint64_t kMetricsMs = 1'000;
constexpr uint32_t kDrainSlackMs = 2'000;  // past its deadline the drain ends, unless a thread is stuck
constexpr uint32_t kSecretsCheckMs = 1'000;
constexpr size_t kAdminConnections = 16;
}  // namespace

Host::Host(const std::string& config_file) : document_(config_file), secrets_(document_.secret_files()) {
  if (!fail(config::read_config(document_, &config_))) return;
  config_.log.version = kVersion;
  try {
    log_ = std::make_unique<telemetry::Log>(config_.log);
  } catch (const std::exception& error) {
    errors_.push_back(document_.describe({"/log/file", error.what()}));
    return;
  }
  for (const config::ListenerEntry& entry : config_.listen) add_endpoint(entry);
  if (config_.admin) add_endpoint(*config_.admin);
  executor_ = std::make_unique<runtime::Executor>(config_.executor_threads, config_.executor_queue);
  timers_ = std::make_unique<runtime::Timers>(*executor_);
  environment_ = std::make_unique<hosting::Environment>(*log_, metrics_, tracing_, *executor_, *timers_, services_);
  environment_->plugin_start_ms = config_.plugin_start_ms;
  environment_->plugin_stop_ms = config_.plugin_stop_ms;
  manager_ = std::make_unique<hosting::Manager>(
      *environment_, [this](std::string text) { return document_.without_secrets(std::move(text)); });
}

// What runs may still reach what is below it: stop from the outside in.
Host::~Host() {
  if (server_) server_->drain();
  {
    const runtime::Duty::Scope duty(runtime::control_duty, "", "the host's timers", config_.plugin_stop_ms);
    for (const uint64_t timer : {certificate_timer_, metrics_timer_})
      if (timers_ && timer != 0) timers_->cancel(timer);
  }
  if (manager_) manager_->quiesce();
  if (executor_) {
    const runtime::Duty::Scope duty(runtime::control_duty, "", "the executor", config_.plugin_stop_ms);
    executor_->stop();
  }
  if (manager_) manager_->retire();
  if (timers_) timers_->stop();
  server_.reset();
}

bool Host::fail(const std::vector<config::Issue>& issues) {
  for (const config::Issue& issue : issues) errors_.push_back(document_.describe(issue));
  return issues.empty();
}

void Host::add_endpoint(const config::ListenerEntry& entry) {
  Endpoint endpoint{&entry, nullptr};
  if (entry.tls) {
    endpoint.tls = std::make_shared<http::tls::Context>(*entry.tls);
    if (const auto issue = endpoint.tls->load())
      errors_.push_back(document_.describe({entry.pointer + "/tls/" + issue->key, issue->message}));
  }
  endpoints_.push_back(std::move(endpoint));
}

void Host::reload_certificates(bool all) {
  const std::lock_guard lock(certificates_);
  for (const Endpoint& endpoint : endpoints_) {
    if (!endpoint.tls || (!all && !endpoint.tls->changed())) continue;
    if (const auto issue = endpoint.tls->load())
      log_->write(Level::kError, "the new certificate is not used, the old one stays",
                  {{"listen", endpoint.entry->address}, {"error", issue->message}});
    else
      log_->write(Level::kInfo, "certificate loaded",
                  {{"listen", endpoint.entry->address}, {"file", endpoint.tls->settings().certificate}});
  }
}

std::vector<std::string> Host::warnings() const {
  std::vector<std::string> warnings = unsafe_settings(config_);
  if (const auto table = manager_->table())
    warnings.insert(warnings.end(), table->idle_hooks.begin(), table->idle_hooks.end());
  for (std::string& each : warnings) each = document_.without_secrets(std::move(each));
  return warnings;
}

bool Host::create_plugins() { return fail(manager_->create(config_)) && fail(manager_->build()); }

bool Host::start_plugins() {
  const bool good = fail(manager_->start());
  document_.forget();
  for (config::PluginEntry& entry : config_.plugins) config::wipe(&entry.config);
  return good;
}

std::vector<std::pair<std::string, std::string>> Host::notes() const {
  using Notes = std::vector<std::pair<std::string, std::string>>;
  Notes all;
  for (const auto& plugin : manager_->instances()) {
    const auto* notes = static_cast<const bh_notes*>(plugin->extension(to_str(BH_NOTES_ID)));
    if (notes == nullptr) continue;
    std::pair<Notes*, const std::string*> to{&all, &plugin->id()};
    notes->list(
        plugin->self(),
        [](void* arg, bh_str text) {
          const auto& [list, id] = *static_cast<std::pair<Notes*, const std::string*>*>(arg);
          list->emplace_back(*id, to_view(text));
        },
        &to);
  }
  return all;
}

int Host::serve(Supervisor& supervisor) {
  auto report = [this](exchange::Exchange& ex, std::string_view plugin, std::string_view what) {
    telemetry::Log::Fields fields = {{"plugin", plugin},
                                     {"request_id", to_view(ex.request.id)},
                                     {"method", to_view(ex.request.method)},
                                     {"path", to_view(ex.request.path)}};
    telemetry::TraceIds ids;
    if (ids.take(ex)) fields.insert(fields.end(), {{"trace_id", ids.trace()}, {"span_id", ids.span()}});
    log_->write(Level::kError, what, fields);
  };
  chain::RunnerSettings settings{config_.request_timeout_ms, config_.enforce_scopes};
  runner_ = std::make_unique<chain::Runner>(settings, *executor_, tracing_, report);
  const bool admin_guarded = config_.admin && !http::is_loopback(config_.admin->address);
  settings.enforce_scopes = admin_guarded;
  admin_runner_ = std::make_unique<chain::Runner>(settings, *executor_, tracing_, report);

  // Series are made before the first request, so counting one is an index.
  std::array<uint32_t, http::kRefusals> refusals{};
  const uint32_t refused =
      host_metric(metrics_, BH_COUNTER, "bulkhead_refused_total",
                  "Requests and connections turned away by a limit, a deadline or the parser.", {"reason"});
  for (size_t i = 0; i < refusals.size(); ++i) {
    const bh_str value = to_str(http::refusal_name(static_cast<http::Refusal>(i)));
    metrics_.series(refused, &value, 1, &refusals[i]);
  }
  blocked_log_ = std::make_unique<BlockedLog>(*log_, metrics_, *executor_);
  server_ = std::make_unique<http::Server>(
      config_.http,
      [this, refusals](http::Refusal refusal) { metrics_.record(refusals[static_cast<size_t>(refusal)], 1, nullptr); },
      [this](const http::Blocked& blocked) { (*blocked_log_)(blocked); });

  for (const Endpoint& endpoint : endpoints_) {
    const bool admin = config_.admin && endpoint.entry == &*config_.admin;
    const std::string wrong = server_->listen(endpoint.entry->where, admin ? *admin_runner_ : *runner_, endpoint.tls,
                                              admin ? kAdminConnections : 0);
    if (!fail(wrong.empty() ? std::vector<config::Issue>{}
                            : std::vector<config::Issue>{{endpoint.entry->pointer, wrong}}))
      return 1;
  }
  if (!create_plugins() || !start_plugins()) return 1;
  admin_ = std::make_unique<Admin>(*manager_, *log_);
  admin_runner_->publish(admin_->table(admin_guarded));
  runner_->publish(manager_->table());

  server_->run();
  if (!config_.enforce_scopes)
    log_->write(Level::kWarn, "scopes are ignored: every operation is open to everybody who reaches this address");
  std::string order;
  for (size_t i = 0; i < manager_->table()->hooks.size(); ++i) {
    const chain::Hook& hook = manager_->table()->hooks[i];
    order += (order.empty() ? "" : " ") + std::string(chain::phase_name(hook.phase)) + ":" + hook.step.owner->id;
  }
  std::string listen_address, admin_address = "off";
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    std::string address = server_->address(i);
    if (!endpoints_[i].entry->where.is_unix()) address.insert(0, endpoints_[i].tls ? "https://" : "http://");
    if (i < config_.listen.size())
      listen_address += (i == 0 ? "" : " ") + address;
    else
      admin_address = address;
  }
  // Certificates are renewed by programs that know nothing of us.
  if (std::any_of(endpoints_.begin(), endpoints_.end(), [](const Endpoint& each) { return each.tls != nullptr; }))
    certificate_timer_ =
        timers_->start(kCertificateCheckMs, kCertificateCheckMs, [this] { reload_certificates(false); });
  std::vector<HostMetrics::Certificate> certificates;
  for (size_t i = 0; i < endpoints_.size(); ++i)
    if (endpoints_[i].tls) certificates.push_back({server_->address(i), endpoints_[i].tls});
  host_metrics_ = std::make_unique<HostMetrics>(
      HostMetrics::Sources{metrics_, *log_, *executor_, *manager_, *server_, std::move(certificates)});
  metrics_timer_ = timers_->start(0, kMetricsMs, [this] { host_metrics_->sample(); });
  const std::string plugin_count = std::to_string(manager_->instances().size());
  const std::string route_count = std::to_string(manager_->table()->routes.size());
  telemetry::Log::Fields served = {{"listen", listen_address},
                                   {"admin", admin_address},
                                   {"plugins", plugin_count},
                                   {"routes", route_count},
                                   {"hooks", order}};
  const auto noted = notes();
  for (const auto& [plugin, note] : noted) served.emplace_back(plugin, note);
  log_->write(Level::kInfo, "serving", served);
  for (const std::string& idle : manager_->table()->idle_hooks) log_->write(Level::kWarn, idle);
  wait_for_stop(supervisor);
  // An I/O thread that a plugin never lets go keeps the drain from its end.
  const runtime::Duty::Scope duty(runtime::control_duty, "", "the drain", config_.http.timeouts.drain + kDrainSlackMs);
  log_->write(Level::kInfo, "draining");
  environment_->draining.store(true, std::memory_order_release);
  const bool clean = server_->drain();
  log_->write(clean ? Level::kInfo : Level::kWarn,
              clean ? "stopped" : "stopped: the drain deadline passed with requests still running");
  return 0;
}

void Host::reopen_files() {
  if (!log_->reopen()) log_->write(Level::kError, "the log file cannot be opened again; the old one is kept");
  for (const auto& plugin : manager_->instances()) {
    const auto* files = static_cast<const bh_reopen*>(plugin->extension(to_str(BH_REOPEN_ID)));
    if (files == nullptr) continue;
    const runtime::Duty::Scope duty(runtime::control_duty, plugin->id(), "reopen", config_.plugin_start_ms);
    const std::string threw = runtime::contain({plugin->id(), "reopen"}, [&] { files->reopen(plugin->self()); });
    if (!threw.empty()) log_->write(Level::kError, "reopen " + threw, {{"plugin", plugin->id()}});
  }
}

void Host::reload_secrets(bool all) {
  if (!secrets_.changed() && !all) return;
  config::Document document = document_.again();
  config::Config config;
  std::vector<config::Issue> issues = config::read_config(document, &config);
  if (issues.empty()) issues = manager_->configure(config);
  // Tried again each second, and told once.
  std::string problems;
  for (const config::Issue& issue : issues) problems += (problems.empty() ? "" : "; ") + document.describe(issue);
  if (problems.empty())
    secrets_.taken();
  else if (problems != secrets_problem_)
    log_->write(Level::kError, "a changed secret is not used, the old one stays", {{"error", problems}});
  document.forget();
  for (config::PluginEntry& entry : config.plugins) config::wipe(&entry.config);
  secrets_problem_ = std::move(problems);
}

void Host::wait_for_stop(Supervisor& supervisor) {
  while (true) {
    // Secrets are rotated by programs that know nothing of us.
    const int number = supervisor.wait(kSecretsCheckMs);
    if (number == 0) reload_secrets(false);
    if (number == SIGTERM || number == SIGINT) return;
    if (number == SIGUSR1) reopen_files();
    if (number == SIGHUP) {
      reload_certificates(true);
      reload_secrets(true);
      log_->write(Level::kInfo,
                  "SIGHUP: certificates and secrets were read again; a new configuration is applied by a restart");
    }
  }
}

}  // namespace bulkhead::app
