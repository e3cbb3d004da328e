#include "core/app/host.hpp"

#include <array>
#include <csignal>
#include <cstdio>

#include "core/exchange/exchange.hpp"
#include "core/telemetry/frame.hpp"
#include "core/version.hpp"

namespace bulkhead::app {

using telemetry::Level;

Host::Host(const std::string& config_file) : document_(config_file) {
  if (!fail(config::read_config(document_, &config_))) return;
  config_.log.version = kVersion;
  try {
    log_ = std::make_unique<telemetry::Log>(config_.log);
  } catch (const std::exception& error) {
    errors_.push_back(document_.describe({"/log/file", error.what()}));
    return;
  }
  executor_ = std::make_unique<runtime::Executor>(config_.executor_threads, config_.executor_queue);
  timers_ = std::make_unique<runtime::Timers>();
  environment_ = std::make_unique<plugins::Environment>(
      plugins::Environment{*log_, metrics_, tracing_, *executor_, *timers_, services_, nullptr});
  manager_ = std::make_unique<plugins::Manager>(*environment_);
}

// What runs may still reach what is below it: stop from the outside in.
Host::~Host() {
  if (server_) server_->drain();
  if (manager_) manager_->quiesce();
  if (executor_) executor_->stop();
  if (manager_) manager_->retire();
  if (timers_) timers_->stop();
  server_.reset();
}

bool Host::fail(const std::vector<config::Issue>& issues) {
  for (const config::Issue& issue : issues) errors_.push_back(document_.describe(issue));
  return issues.empty();
}

bool Host::create_plugins() { return fail(manager_->create(config_)) && fail(manager_->build()); }

bool Host::start_plugins() { return fail(manager_->start()); }

int Host::serve() {
  auto report = [this](exchange::Exchange& ex, std::string_view plugin, std::string_view what) {
    log_->write(Level::kError, what,
                {{"plugin", plugin},
                 {"request_id", view(ex.request.id)},
                 {"method", view(ex.request.method)},
                 {"path", view(ex.request.path)}});
  };
  chain::RunnerSettings settings{config_.request_timeout_ms, config_.enforce_scopes};
  runner_ = std::make_unique<chain::Runner>(settings, *executor_, report);
  settings.enforce_scopes = false;
  admin_runner_ = std::make_unique<chain::Runner>(settings, *executor_, report);

  // Series are made before the first request, so counting one is an index.
  std::array<uint32_t, 9> refusals{};
  const bh_str label = str("reason");
  bh_metric metric{};
  metric.size = sizeof metric;
  metric.kind = BH_COUNTER;
  metric.name = str("bulkhead_refused_total");
  metric.help = str("Requests and connections turned away by a limit, a deadline or the parser.");
  metric.labels = &label;
  metric.label_count = 1;
  uint32_t id = 0;
  metrics_.add("host", metric, &id);
  for (size_t i = 0; i < refusals.size(); ++i) {
    const bh_str value = str(http::refusal_name(static_cast<http::Refusal>(i)));
    metrics_.series(id, &value, 1, &refusals[i]);
  }
  server_ = std::make_unique<http::Server>(config_.http, [this, refusals](http::Refusal refusal) {
    metrics_.record(refusals[static_cast<size_t>(refusal)], 1, nullptr);
  });

  if (const std::string wrong = server_->listen(config_.listen, *runner_); !wrong.empty()) {
    fail({{"/server/listen", wrong}});
    return 1;
  }
  if (!config_.admin.empty()) {
    if (const std::string wrong = server_->listen(config_.admin, *admin_runner_); !wrong.empty()) {
      fail({{"/server/admin", wrong}});
      return 1;
    }
  }
  if (!create_plugins() || !start_plugins()) return 1;
  admin_ = std::make_unique<Admin>(*manager_, *log_);
  admin_runner_->publish(admin_->table());
  runner_->publish(manager_->table());

  telemetry::install_crash_handler();
  server_->run();
  if (!config_.enforce_scopes)
    log_->write(Level::kWarn, "scopes are ignored: every operation is open to everybody who reaches this address");
  std::string order;
  for (size_t i = 0; i < manager_->table()->hooks.size(); ++i) {
    const chain::Hook& hook = manager_->table()->hooks[i];
    order += (order.empty() ? "" : " ") + std::string(chain::phase_name(hook.phase)) + ":" + hook.step.owner->id;
  }
  const std::string listen_address = server_->address(0),
                    admin_address = config_.admin.empty() ? "off" : server_->address(1);
  const std::string plugin_count = std::to_string(manager_->instances().size());
  const std::string route_count = std::to_string(manager_->table()->routes.size());
  log_->write(Level::kInfo, "serving",
              {{"listen", listen_address},
               {"admin", admin_address},
               {"plugins", plugin_count},
               {"routes", route_count},
               {"hooks", order}});
  wait_for_stop();
  log_->write(Level::kInfo, "draining");
  const bool clean = server_->drain();
  log_->write(clean ? Level::kInfo : Level::kWarn,
              clean ? "stopped" : "stopped: the drain deadline passed with requests still running");
  return 0;
}

void Host::wait_for_stop() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) sigaddset(&set, number);
  while (true) {
    int number = 0;
    if (sigwait(&set, &number) != 0 || number == SIGTERM || number == SIGINT) return;
    if (number == SIGUSR1 && !log_->reopen())
      log_->write(Level::kError, "the log file cannot be opened again; the old one is kept");
    if (number == SIGHUP)
      log_->write(Level::kWarn, "SIGHUP: this version does not reload; restart to apply a new configuration");
  }
}

}  // namespace bulkhead::app
