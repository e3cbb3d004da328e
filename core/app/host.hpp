// Host: the parts wired together, for serving and for commands that only look.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/app/admin.hpp"
#include "core/app/blocked_log.hpp"
#include "core/app/host_metrics.hpp"
#include "core/app/supervisor.hpp"
#include "core/chain/runner.hpp"
#include "core/config/model.hpp"
#include "core/config/secret_files.hpp"
#include "core/hosting/manager.hpp"
#include "core/http/server.hpp"
#include "core/runtime/executor.hpp"
#include "core/runtime/timers.hpp"
#include "core/telemetry/log.hpp"
#include "core/telemetry/metrics.hpp"
#include "core/telemetry/tracing.hpp"

namespace bulkhead::app {

class Host {
 public:
  // Reads the configuration; what is wrong is in errors(), one line each.
  explicit Host(const std::string& config_file);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const std::vector<std::string>& errors() const { return errors_; }
  const config::Config& config() const { return config_; }
  // What the configuration allows that is rarely meant; no secret stands in it.
  std::vector<std::string> warnings() const;
  // What plugins want an operator to see (bh.notes/1), after create_plugins(): plugin, note.
  std::vector<std::pair<std::string, std::string>> notes() const;
  hosting::Manager& manager() { return *manager_; }

  // Each false with errors() where it fails, with nothing left half-started.
  bool create_plugins();  // and the table of their routes, for commands that look
  bool start_plugins();
  // Binds, starts the plugins, serves until SIGTERM or SIGINT, drains. Exit status.
  int serve(Supervisor& supervisor);

 private:
  // A listener of the configuration and the certificate it shows.
  struct Endpoint {
    const config::ListenerEntry* entry;
    std::shared_ptr<http::tls::Context> tls;
  };

  bool fail(const std::vector<config::Issue>& issues);
  void add_endpoint(const config::ListenerEntry& entry);
  // Reads certificates again: those whose files changed, or all.
  void reload_certificates(bool all);
  void reopen_files();
  // Reads the files of secrets again where one has changed, and gives plugins what is theirs.
  void reload_secrets(bool all);
  void wait_for_stop(Supervisor& supervisor);

  config::Document document_;
  config::SecretFiles secrets_;
  std::string secrets_problem_;  // of the last attempt to read them again
  config::Config config_;
  std::vector<std::string> errors_;
  std::vector<Endpoint> endpoints_;  // those that are served, then the admin's
  std::mutex certificates_;
  uint64_t certificate_timer_ = 0, metrics_timer_ = 0;
  std::unique_ptr<telemetry::Log> log_;
  telemetry::Metrics metrics_;
  telemetry::Tracing tracing_;
  hosting::Services services_;
  std::unique_ptr<runtime::Executor> executor_;
  std::unique_ptr<runtime::Timers> timers_;
  std::unique_ptr<hosting::Environment> environment_;
  std::unique_ptr<hosting::Manager> manager_;
  std::unique_ptr<chain::Runner> runner_, admin_runner_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<BlockedLog> blocked_log_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<HostMetrics> host_metrics_;
};

}  // namespace bulkhead::app
