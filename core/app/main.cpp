#include <sys/resource.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include "core/app/commands.hpp"
#include "core/app/supervisor.hpp"
#include "core/telemetry/crash.hpp"

namespace {

// A connection is a descriptor: the soft limit of 1024 is for programs that use select().
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::vector<std::string> names_of(const CLI::App& cli) {
  std::vector<std::string> names;
  for (const CLI::App* command : cli.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

int run(int argc, char** argv, bulkhead::app::Supervisor& supervisor) {
  namespace app = bulkhead::app;
  CLI::App cli{"Bulkhead: an API host whose every capability is a plugin."};
  cli.require_subcommand(0, 1);
  cli.set_version_flag("-V,--version", app::version_text());
  cli.failure_message(CLI::FailureMessage::help);
  std::string config = "configs/titanic.yaml", path, file, id;
  bool json = false;
  auto with_config = [&](CLI::App* command) {
    command->add_option("-c,--config,config", config, "Configuration file")->capture_default_str();
  };
  auto with_json = [&](CLI::App* command) { command->add_flag("--json", json, "Print JSON"); };

  auto* serve = cli.add_subcommand("serve", "Serve until SIGTERM or SIGINT; SIGUSR1 reopens log files.");
  with_config(serve);
  serve->footer("Example: bulkhead serve configs/titanic.yaml");
  auto* check = cli.add_subcommand("check", "Load and validate everything without serving.");
  with_config(check);
  with_json(check);
  check->footer("Example: bulkhead check configs/titanic.yaml");
  auto* plugins = cli.add_subcommand("plugins", "List the enabled plugins.");
  with_config(plugins);
  with_json(plugins);
  plugins->footer("Example: bulkhead plugins configs/titanic.yaml");
  auto* routes = cli.add_subcommand("routes", "List the routes.");
  with_config(routes);
  with_json(routes);
  routes->footer("Example: bulkhead routes --json configs/titanic.yaml");
  auto* chain = cli.add_subcommand("chain", "Show which plugins a request of PATH passes, in order, and why.");
  chain->add_option("path", path, "Path of a request")->required();
  chain->add_option("-c,--config", config, "Configuration file")->capture_default_str();
  with_json(chain);
  chain->footer("Example: bulkhead chain /people");
  auto* inspect = cli.add_subcommand("inspect", "Describe a plugin file.");
  inspect->add_option("file", file, "Shared library")->required();
  with_json(inspect);
  inspect->footer("Example: bulkhead inspect build/release/lib/bulkhead/people.so");
  auto* command =
      cli.add_subcommand("run", "Run a plugin's own command: run ID COMMAND ARGS...; without one, list them.");
  command->add_option("-c,--config", config, "Configuration file")->capture_default_str();
  command->add_option("id", id, "Plugin")->required();
  command->prefix_command();  // what follows the plugin is its own, options too
  command->footer("Example: bulkhead run -c configs/titanic.yaml people import passengers.csv");
  auto* version = cli.add_subcommand("version", "Print the version.");
  with_json(version);
  version->footer("Example: bulkhead version --json");

  if (const int status = app::check_command(argc > 1 ? argv[1] : "", names_of(cli)); status != 0) return status;
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli.exit(error) == 0 ? 0 : 2;
  }
  if (cli.get_subcommands().empty()) {
    std::cout << cli.help();
    return 0;
  }
  if (*serve) return app::serve(config, supervisor);
  if (*check) return app::check(config, json);
  if (*plugins) return app::list_plugins(config, json);
  if (*routes) return app::list_routes(config, json);
  if (*chain) return app::show_chain(config, path, json);
  if (*inspect) return app::inspect(file, json);
  if (*command) return app::run_command(config, id, command->remaining());
  return app::show_version(json);
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // a broken pipe is an error code
  bulkhead::telemetry::install_crash_handler();
  raise_descriptor_limit();
  try {
    bulkhead::app::Supervisor supervisor;
    const bulkhead::telemetry::ExitGuard guard;
    return run(argc, argv, supervisor);
  } catch (const std::exception& error) {
    std::cerr << "bulkhead: " << error.what() << "\n";
    return 1;
  }
}
