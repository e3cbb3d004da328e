#include "core/config/model.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <thread>

#include "bulkhead/text/ascii.hpp"
#include "core/config/schema.hpp"
#include "core/config/units.hpp"
#include "host_embedded.hpp"

namespace bulkhead::config {

namespace {

class Values {
 public:
  Values(const Json& root, std::vector<Issue>* issues) : root_(root), issues_(issues) {}

  const Json& at(const std::string& pointer) const { return root_.at(Json::json_pointer(pointer)); }
  std::string text(const std::string& pointer) const {
    return at(pointer).is_string() ? at(pointer).get<std::string>()
           : at(pointer).is_null() ? std::string()
                                   : at(pointer).dump();
  }
  size_t number(const std::string& pointer) const { return at(pointer).get<size_t>(); }
  size_t size(const std::string& pointer) const {
    const auto value = parse_size(text(pointer));
    if (value && *value > 0) return *value;
    issues_->push_back({pointer, text(pointer) + " is not a size; write 4096, 32KiB, 1MiB or 1GiB"});
    return 1;
  }
  uint32_t duration(const std::string& pointer) const {
    const auto value = parse_duration_ms(text(pointer));
    if (value && *value > 0) return *value;
    issues_->push_back({pointer, text(pointer) + " is not a duration; write 250ms, 5s, 2m or 1h"});
    return 1;
  }

 private:
  const Json& root_;
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

}  // namespace

std::vector<Issue> read_config(Document& document, Config* config) {
  std::vector<Issue> issues = document.issues();
  if (!issues.empty()) return issues;
  static const Json schema = Json::parse(host_embedded::schema_json);
  issues = check_schema(schema, document.value);
  if (!issues.empty()) return issues;

  const Values values(document.value, &issues);
  const Json& listen = values.at("/server/listen");
  if (listen.is_array())
    for (size_t i = 0; i < listen.size(); ++i)
      config->listen.push_back(listener_of(listen[i], "/server/listen/" + std::to_string(i), &issues));
  else
    config->listen.push_back(listener_of(listen, "/server/listen", &issues));
  if (const Json& admin = values.at("/server/admin"); !admin.is_null() && !values.text("/server/admin").empty())
    config->admin = listener_of(admin, "/server/admin", &issues);
  const Json& proxies = values.at("/server/trusted_proxies");
  for (size_t i = 0; i < proxies.size(); ++i)
    if (!config->http.proxies.add(proxies[i].get_ref<const std::string&>()))
      issues.push_back(
          {"/server/trusted_proxies/" + std::to_string(i),
           proxies[i].get<std::string>() +
               " is no address and no network; write 10.0.0.0/8, fd00::/8, or unix: for callers by a unix socket"});
  const Json& nat64 = values.at("/server/nat64_prefixes");
  for (size_t i = 0; i < nat64.size(); ++i)
    if (!config->http.nat64.add(nat64[i].get_ref<const std::string&>()))
      issues.push_back(
          {"/server/nat64_prefixes/" + std::to_string(i),
           nat64[i].get<std::string>() +
               " is no prefix of a NAT64; write 2001:db8:64::/96, its length one of 32, 40, 48, 56, 64, 96"});
  config->http.proxies.use_forwarded(values.text("/server/forwarded_header") == "forwarded");
  config->enforce_scopes = values.text("/server/scopes") == "enforce";
  config->executor_threads = values.number("/server/executor/threads");
  config->executor_queue = values.number("/server/executor/queue");

  const std::string limits = "/server/limits/", timeouts = "/server/timeouts/";
  http::Settings& http = config->http;
  http.io_threads = values.at("/server/io_threads").is_number()
                        ? values.number("/server/io_threads")
                        : std::clamp(std::thread::hardware_concurrency(), 1u, 255u);
  http.limits.connections = values.number(limits + "connections");
  http.limits.pipelined = values.number(limits + "pipelined");
  http.limits.request_line = values.size(limits + "request_line");
  http.limits.header = values.size(limits + "header");
  http.limits.header_fields = values.number(limits + "header_fields");
  http.limits.body = values.size(limits + "body");
  http.limits.bodies_in_memory = values.size(limits + "bodies_in_memory");
  http.limits.queued = values.size(limits + "queued");
  http.timeouts.header = values.duration(timeouts + "header");
  http.timeouts.body = values.duration(timeouts + "body");
  http.timeouts.idle = values.duration(timeouts + "idle");
  http.timeouts.write = values.duration(timeouts + "write");
  http.timeouts.drain = values.duration(timeouts + "drain");
  config->request_timeout_ms = values.duration(timeouts + "request");

  std::string level = values.text("/log/level");
  std::transform(level.begin(), level.end(), level.begin(), lower);
  if (level == "warning") level = "warn";
  if (!telemetry::parse_level(level, &config->log.level))
    issues.push_back({"/log/level", "'" + values.text("/log/level") + "' is not trace, debug, info, warn or error"});
  config->log.file = values.text("/log/file");
  const bool terminal = config->log.file.empty() && ::isatty(STDERR_FILENO) == 1;
  const std::string format = values.text("/log/format");
  config->log.json = format == "json" || (format == "auto" && !terminal);
  const char* no_colour = std::getenv("NO_COLOR");  // no-color.org
  config->log.colour = terminal && (no_colour == nullptr || *no_colour == '\0');
  config->log.service = values.text("/service");
  for (const Json& path : values.at("/plugin_path")) config->plugin_path.push_back(path.get<std::string>());

  std::set<std::string> ids;
  const Json& plugins = document.value.at("plugins");
  for (size_t i = 0; i < plugins.size(); ++i) {
    const Json& entry = plugins[i];
    PluginEntry plugin;
    plugin.pointer = "/plugins/" + std::to_string(i);
    plugin.id = entry.at("id");
    plugin.library = entry.at("library");
    plugin.enabled = entry.at("enabled");
    plugin.optional = entry.at("optional");
    plugin.config = entry.at("config");
    plugin.after = entry.at("order").at("after").get<std::vector<std::string>>();
    plugin.before = entry.at("order").at("before").get<std::vector<std::string>>();
    if (!ids.insert(plugin.id).second)
      issues.push_back(
          {plugin.pointer + "/id",
           "the plugin '" + plugin.id + "' is listed twice; give the second instance another id and its library"});
    config->plugins.push_back(std::move(plugin));
  }
  return issues;
}

}  // namespace bulkhead::config
