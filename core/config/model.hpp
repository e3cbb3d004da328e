// The configuration, checked and typed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config/document.hpp"
#include "core/http/listen_address.hpp"
#include "core/http/settings.hpp"
#include "core/http/tls.hpp"
#include "core/telemetry/log.hpp"

namespace bulkhead::config {

struct PluginEntry {  // NOLINT(bugprone-exception-escape): moving Json is said not to throw, and allocates nothing
  std::string id, library;
  bool enabled = true, optional = false;
  Json config;
  std::vector<std::string> after, before;
  std::string pointer;  // "/plugins/3", for messages
};

struct ListenerEntry {
  std::string address;
  http::ListenAddress where;
  std::optional<http::tls::Settings> tls;
  std::string pointer;  // "/server/listen/0", for messages
};

// What is unset here has its default in schema.json.
struct Config {
  std::vector<ListenerEntry> listen;
  std::optional<ListenerEntry> admin;
  bool enforce_scopes = true;
  size_t executor_threads = 0, executor_queue = 0;
  uint32_t request_timeout_ms = 0, plugin_start_ms = 0, plugin_stop_ms = 0;
  http::Settings http;
  telemetry::LogSettings log;
  std::vector<std::string> plugin_path;
  std::vector<PluginEntry> plugins;
};

// Fills the document's defaults. Issues are empty on success.
std::vector<Issue> read_config(Document& document, Config* config);

// Of a document that lists no plugins and says nothing else.
Config defaults();

}  // namespace bulkhead::config
