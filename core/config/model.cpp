#include "core/config/model.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <thread>

#include "bulkhead/text/ascii.hpp"
#include "core/config/schema.hpp"
#include "core/config/units.hpp"
#include "host_config.hpp"
#include "host_embedded.hpp"

namespace bulkhead::config {

namespace {

using Said = host_config::Config;

// What the schema cannot check; issues name the place.
class Units {
 public:
  explicit Units(std::vector<Issue>* issues) : issues_(issues) {}

  size_t size(const std::string& pointer, const Json& said) const {
    const std::string text = said.is_string() ? said.get<std::string>() : said.dump();
    const auto value = parse_size(text);
    if (value && *value > 0) return *value;
    issues_->push_back({pointer, text + " is not a size; write 4096, 32KiB, 1MiB or 1GiB"});
    return 1;
  }
  uint32_t duration(const std::string& pointer, const std::string& said) const {
    const auto value = parse_duration_ms(said);
    if (value && *value > 0) return *value;
    issues_->push_back({pointer, said + " is not a duration; write 250ms, 5s, 2m or 1h"});
    return 1;
  }

 private:
  std::vector<Issue>* issues_;
};

ListenerEntry listener_of(const Json& value, const std::string& pointer, std::vector<Issue>* issues) {
  ListenerEntry entry;
  entry.address = value.is_string() ? value : value.at("address");
  entry.pointer = pointer;
  const std::string at = value.is_string() ? pointer : pointer + "/address";
  if (std::string wrong = http::parse_listen_address(entry.address, &entry.where); !wrong.empty())
    issues->push_back({at, std::move(wrong)});
  else if (std::string obstacle = http::find_obstacle(entry.where); !obstacle.empty())
    issues->push_back({at, std::move(obstacle)});
  if (value.is_string()) return entry;
  if (value.contains("socket_mode")) {
    if (!entry.where.is_unix())
      issues->push_back({pointer + "/socket_mode", "is for a unix socket only, as in unix:/run/x.sock"});
    entry.where.mode = static_cast<mode_t>(std::stoul(value.at("socket_mode").get<std::string>(), nullptr, 8));
  }
  if (!value.contains("tls")) return entry;
  const Json& tls = value.at("tls");
  using http::tls::ClientCertificate;
  const std::string wanted = tls.at("client_certificate");
  entry.tls = {tls.at("certificate"), tls.at("key"), tls.at("client_ca"),
               wanted == "required"   ? ClientCertificate::kRequired
               : wanted == "optional" ? ClientCertificate::kOptional
                                      : ClientCertificate::kNone};
  if ((wanted != "none") == entry.tls->client_ca.empty())
    issues->push_back({pointer + "/tls/client_ca",
                       wanted == "none"
                           ? "is used only with client_certificate: optional or required"
                           : "client_certificate: " + wanted + " needs the file of the authorities that are trusted"});
  return entry;
}

void read_listeners(const Said::Server& server, Config* config, std::vector<Issue>* issues) {
  if (server.listen.is_array())
    for (size_t i = 0; i < server.listen.size(); ++i)
      config->listen.push_back(listener_of(server.listen[i], "/server/listen/" + std::to_string(i), issues));
  else
    config->listen.push_back(listener_of(server.listen, "/server/listen", issues));
  const Json admin = server.admin.value_or(nullptr);
  const bool off = admin.is_null() || (admin.is_string() && admin.get_ref<const std::string&>().empty());
  if (!off) config->admin = listener_of(admin, "/server/admin", issues);
}

void read_proxies(const Said::Server& server, Config* config, std::vector<Issue>* issues) {
  http::Settings& http = config->http;
  for (size_t i = 0; i < server.trusted_proxies.size(); ++i)
    if (const std::string& proxy = server.trusted_proxies[i]; !http.proxies.add(proxy))
      issues->push_back(
          {"/server/trusted_proxies/" + std::to_string(i),
           proxy + " is not an address or network; write 10.0.0.0/8, fd00::/8, or unix: for callers by a unix socket"});
  for (size_t i = 0; i < server.nat64_prefixes.size(); ++i)
    if (const std::string& prefix = server.nat64_prefixes[i]; !http.nat64.add(prefix))
      issues->push_back(
          {"/server/nat64_prefixes/" + std::to_string(i),
           prefix + " is no prefix of a NAT64; write 2001:db8:64::/96, its length one of 32, 40, 48, 56, 64, 96"});
  http.proxies.use_forwarded(server.forwarded_header == "forwarded");
}

void read_engine(const Said::Server& server, Config* config, std::vector<Issue>* issues) {
  config->enforce_scopes = server.scopes == "enforce";
  config->executor_threads = server.executor.threads;
  config->executor_queue = server.executor.queue;
  config->http.io_threads = server.io_threads.is_number() ? server.io_threads.get<size_t>()
                                                          : std::clamp(std::thread::hardware_concurrency(), 1u, 255u);
  const Units units(issues);
  const std::string at_limits = "/server/limits/", at_timeouts = "/server/timeouts/";
  const Said::Server::Limits& limits = server.limits;
  config->http.limits = {
      .connections = limits.connections,
      .pipelined = limits.pipelined,
      .request_line = units.size(at_limits + "request_line", limits.request_line),
      .header = units.size(at_limits + "header", limits.header),
      .header_fields = limits.header_fields,
      .body = units.size(at_limits + "body", limits.body),
      .bodies_in_memory = units.size(at_limits + "bodies_in_memory", limits.bodies_in_memory),
      .queued = units.size(at_limits + "queued", limits.queued),
  };
  const Said::Server::Timeouts& timeouts = server.timeouts;
  config->http.timeouts = {
      .header = units.duration(at_timeouts + "header", timeouts.header),
      .body = units.duration(at_timeouts + "body", timeouts.body),
      .idle = units.duration(at_timeouts + "idle", timeouts.idle),
      .write = units.duration(at_timeouts + "write", timeouts.write),
      .drain = units.duration(at_timeouts + "drain", timeouts.drain),
  };
  config->plugin_start_ms = units.duration(at_timeouts + "plugin_start", timeouts.plugin_start);
  config->plugin_stop_ms = units.duration(at_timeouts + "plugin_stop", timeouts.plugin_stop);
  config->request_timeout_ms = units.duration(at_timeouts + "request", timeouts.request);
}

void read_log(const Said& said, Config* config, std::vector<Issue>* issues) {
  telemetry::LogSettings& log = config->log;
  std::string level = lowered(said.log.level);
  if (level == "warning") level = "warn";
  if (!telemetry::parse_level(level, &log.level))
    issues->push_back({"/log/level", "'" + said.log.level + "' is not trace, debug, info, warn or error"});
  log.file = said.log.file;
  const bool terminal = log.file.empty() && ::isatty(STDERR_FILENO) == 1;
  log.json = said.log.format == "json" || (said.log.format == "auto" && !terminal);
  const char* no_colour = std::getenv("NO_COLOR");  // no-color.org
  log.colour = terminal && (no_colour == nullptr || *no_colour == '\0');
  log.service = said.service;
}

}  // namespace

std::vector<Issue> read_config(Document& document, Config* config) {
  std::vector<Issue> issues = document.issues();
  if (!issues.empty()) return issues;
  static const Json schema = Json::parse(host_embedded::schema_json);
  issues = check_schema(schema, document.value);
  if (!issues.empty()) return issues;

  auto said = document.value.get<Said>();
  read_listeners(said.server, config, &issues);
  read_proxies(said.server, config, &issues);
  read_engine(said.server, config, &issues);
  read_log(said, config, &issues);
  config->plugin_path = said.plugin_path;
  std::set<std::string> ids;
  for (Said::Plugin& entry : said.plugins) {
    PluginEntry plugin{entry.id,
                       entry.library,
                       entry.enabled,
                       entry.optional,
                       std::move(entry.config),
                       entry.order.after,
                       entry.order.before,
                       "/plugins/" + std::to_string(config->plugins.size())};
    if (!ids.insert(plugin.id).second)
      issues.push_back(
          {plugin.pointer + "/id",
           "the plugin '" + plugin.id + "' is listed twice; give the second instance another id and its library"});
    config->plugins.push_back(std::move(plugin));
  }
  return issues;
}

Config defaults() {
  Document document("defaults", "plugins: []\n");
  Config config;
  if (const std::vector<Issue> issues = read_config(document, &config); !issues.empty())
    throw std::logic_error("schema.json: " + issues.front().pointer + ": " + issues.front().message);
  return config;
}

}  // namespace bulkhead::config
