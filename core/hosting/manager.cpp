#include "core/hosting/manager.hpp"

#include <algorithm>

#include "bulkhead/services/log_sink.h"
#include "bulkhead/services/metric_sink.h"
#include "bulkhead/services/trace_sink.h"
#include "bulkhead/text/nearest.hpp"
#include "bulkhead/value.hpp"
#include "core/chain/order.hpp"
#include "core/config/schema.hpp"

namespace bulkhead::hosting {

namespace {
// Tells configurations apart without keeping their secrets.
size_t mark_of(const config::Json& values) {
  std::string text = values.dump(-1, ' ', false, config::Json::error_handler_t::replace);
  const size_t mark = std::hash<std::string>()(text);
  config::wipe(&text);
  return mark;
}
}  // namespace

config::Issue Manager::issue_of(const Instance& plugin, const std::string& message) const {
  return {plugin.entry().pointer, "plugin '" + plugin.id() + "' (" + plugin.file() + "): " + message};
}

std::shared_ptr<Library> Manager::find_library_of(const config::PluginEntry& entry,
                                                  const std::vector<std::string>& folders, config::Issue* issue) const {
  std::string wrong;
  std::shared_ptr<Library> library;
  if (const auto linked = linked_.find(entry.id); linked != linked_.end()) {
    library = Library::linked(linked->second, &wrong);
  } else {
    const std::string path = !entry.library.empty() ? entry.library : find_library(entry.id, folders);
    if (path.empty()) {
      std::string places;
      for (const std::string& folder : folders) places += (places.empty() ? "" : ", ") + folder;
      const std::string near = nearest(entry.id, library_names(folders));
      *issue = {entry.pointer + "/id", "plugin '" + entry.id + "': no " + entry.id + ".so in " + places +
                                           (near.empty() ? "; correct the id, or name the file with 'library'"
                                                         : ", did you mean '" + near + "'?")};
      return nullptr;
    }
    library = Library::open(path, &wrong);
  }
  if (!library) *issue = {entry.pointer, "plugin '" + entry.id + "': " + wrong};
  return library;
}

std::vector<config::Issue> Manager::create(const config::Config& config) {
  std::vector<std::string> folders = config.plugin_path;
  folders.push_back(default_plugin_folder());
  std::vector<config::Issue> issues;
  std::vector<std::pair<Instance*, config::Json>> configs;

  auto fail = [&](const config::PluginEntry& entry, const config::Issue& issue) {
    if (entry.optional)
      environment_.log.write(telemetry::Level::kError, redact_("optional plugin left out: " + issue.message),
                             {{"plugin", entry.id}});
    else
      issues.push_back(issue);
  };
  for (const config::PluginEntry& entry : config.plugins) {
    if (!entry.enabled) continue;
    config::Issue none;
    const std::shared_ptr<Library> library = find_library_of(entry, folders, &none);
    if (!library) {
      fail(entry, none);
      continue;
    }
    const std::string_view schema = to_view(library->descriptor().schema);
    config::Json values = entry.config;
    std::vector<config::Issue> refused;
    if (!schema.empty())
      refused = config::check_schema(config::Json::parse(schema), values);
    else if (!values.empty())
      refused.push_back({"", "the plugin takes no configuration"});
    for (const config::Issue& issue : refused)
      fail(entry, {entry.pointer + "/config" + issue.pointer, "plugin '" + entry.id + "': " + issue.message});
    if (!refused.empty()) continue;
    instances_.push_back(std::make_unique<Instance>(environment_, library, entry));
    configs.emplace_back(instances_.back().get(), std::move(values));
  }
  if (issues.empty())
    if (const std::string wrong = sort_by_needs(); !wrong.empty()) issues.push_back({"/plugins", wrong});
  if (issues.empty()) {
    std::vector<Instance*> dropped;
    for (const auto& plugin : instances_) {
      const auto it =
          std::find_if(configs.begin(), configs.end(), [&](const auto& pair) { return pair.first == plugin.get(); });
      const std::string wrong = plugin->create(it->second);
      configs_[plugin->id()] = mark_of(it->second);
      config::wipe(&it->second);
      if (wrong.empty()) continue;
      fail(plugin->entry(),
           {plugin->entry().pointer + "/config", "plugin '" + plugin->id() + "' (" + plugin->file() + "): " + wrong});
      if (!issues.empty()) break;
      dropped.push_back(plugin.get());
    }
    std::erase_if(instances_, [&](const auto& plugin) {
      return std::find(dropped.begin(), dropped.end(), plugin.get()) != dropped.end();
    });
  }
  if (!issues.empty()) {
    retire();
    instances_.clear();
  }
  return issues;
}

std::vector<config::Issue> Manager::configure(const config::Config& config) {
  std::vector<config::Issue> issues;
  for (const config::PluginEntry& entry : config.plugins) {
    Instance* plugin = entry.enabled ? find(entry.id) : nullptr;
    if (plugin == nullptr) continue;
    config::Json values = entry.config;
    const std::string_view schema = to_view(plugin->descriptor().schema);
    std::vector<config::Issue> refused;
    if (!schema.empty()) refused = config::check_schema(config::Json::parse(schema), values);
    for (const config::Issue& issue : refused)
      issues.push_back({entry.pointer + "/config" + issue.pointer, "plugin '" + entry.id + "': " + issue.message});
    if (!refused.empty() || mark_of(values) == configs_[entry.id]) continue;
    bh_status status = BH_OK;
    const std::string wrong = plugin->configure(values, &status);
    if (status == BH_OK && wrong.empty()) {
      configs_[entry.id] = mark_of(values);
      environment_.log.write(telemetry::Level::kInfo, "configured anew", {{"plugin", entry.id}});
    } else {
      issues.push_back(issue_of(*plugin, (status == BH_E_RESTART ? "the change needs a restart: " : "") + wrong));
    }
    config::wipe(&values);
  }
  return issues;
}

// Providers before consumers, else the order of the configuration.
std::string Manager::sort_by_needs() {
  std::vector<Instance*> waiting, sorted;
  for (const auto& plugin : instances_) waiting.push_back(plugin.get());
  // The metric sink starts first and stops last, since all others record to it, the trace and log
  // sinks included; those come next.
  const auto rank = [](const Instance* plugin) {
    const bh_plugin& d = plugin->descriptor();
    const auto offers = [&d](std::string_view id) {
      return std::any_of(d.offers, d.offers + d.offer_count,
                         [id](const bh_need& offer) { return to_view(offer.service) == id; });
    };
    return offers(BH_METRIC_SINK_ID) ? 0 : offers(BH_TRACE_SINK_ID) || offers(BH_LOG_SINK_ID) ? 1 : 2;
  };
  std::stable_sort(waiting.begin(), waiting.end(),
                   [&rank](const Instance* a, const Instance* b) { return rank(a) < rank(b); });
  auto provider_of = [&](std::string_view service) -> Instance* {
    for (const auto& plugin : instances_) {
      const bh_plugin& d = plugin->descriptor();
      if (std::any_of(d.offers, d.offers + d.offer_count,
                      [&](const bh_need& offer) { return to_view(offer.service) == service; }))
        return plugin.get();
    }
    return nullptr;
  };
  while (!waiting.empty()) {
    const size_t before = waiting.size();
    for (auto it = waiting.begin(); it != waiting.end();) {
      Instance* plugin = *it;
      const bh_plugin& d = plugin->descriptor();
      bool ready = true;
      for (size_t i = 0; i < d.need_count; ++i) {
        const Instance* provider = provider_of(to_view(d.needs[i].service));
        if (provider == nullptr && d.needs[i].optional == 0) {
          std::string wrong = "plugin '" + plugin->id() + "' needs the service " +
                              std::string(to_view(d.needs[i].service)) + ", which no enabled plugin offers";
          if (!plugin->entry().optional) return wrong;
          environment_.log.write(telemetry::Level::kError, "optional plugin left out: " + wrong,
                                 {{"plugin", plugin->id()}});
          std::erase_if(instances_, [&](const auto& each) { return each.get() == plugin; });
          return sort_by_needs();  // others may have needed what it offered
        }
        ready = ready && (provider == nullptr || provider == plugin ||
                          std::find(sorted.begin(), sorted.end(), provider) != sorted.end());
      }
      if (ready) sorted.push_back(plugin);
      it = ready ? waiting.erase(it) : it + 1;
    }
    if (waiting.size() == before) {
      std::string names;
      for (const Instance* plugin : waiting) names += (names.empty() ? "" : ", ") + plugin->id();
      return "these plugins depend on each other's services in a cycle: " + names;
    }
  }
  std::sort(instances_.begin(), instances_.end(), [&](const auto& a, const auto& b) {
    return std::find(sorted.begin(), sorted.end(), a.get()) < std::find(sorted.begin(), sorted.end(), b.get());
  });
  return {};
}

std::vector<config::Issue> Manager::build() {
  chain::TableInput input;
  std::vector<chain::OrderRule> rules;
  for (const auto& plugin : instances_) {
    rules.push_back(plugin->order_rule());
    input.routes.insert(input.routes.end(), plugin->routes().begin(), plugin->routes().end());
    input.hooks.insert(input.hooks.end(), plugin->hooks().begin(), plugin->hooks().end());
  }
  chain::Order order = chain::order_plugins(rules);
  if (!order.cycle.empty()) return {{"/plugins", "the order of the plugins has a cycle: " + order.cycle}};
  input.plugin_order = std::move(order.ids);
  input.order_reasons = std::move(order.reasons);
  std::string wrong;
  auto table = chain::build_table(std::move(input), generation_ + 1, &wrong);
  if (!table) return {{"/plugins", wrong}};
  const std::lock_guard lock(mutex_);
  table_ = std::move(table);
  ++generation_;
  return {};
}

std::vector<config::Issue> Manager::start() {
  std::vector<config::Issue> issues;
  std::vector<Instance*> dropped;
  for (auto& plugin : instances_) {
    const std::string wrong = plugin->start();
    if (wrong.empty()) continue;
    const config::Issue issue = issue_of(*plugin, wrong);
    if (!plugin->entry().optional) {
      issues.push_back(issue);
      break;
    }
    environment_.log.write(telemetry::Level::kError, redact_("optional plugin left out: " + issue.message),
                           {{"plugin", plugin->id()}});
    plugin->retire();
    dropped.push_back(plugin.get());
  }
  std::erase_if(instances_, [&](const auto& plugin) {
    return std::find(dropped.begin(), dropped.end(), plugin.get()) != dropped.end();
  });
  if (issues.empty()) issues = build();
  if (!issues.empty()) retire();
  return issues;
}

void Manager::quiesce() {
  for (auto it = instances_.rbegin(); it != instances_.rend(); ++it) (*it)->quiesce();
}

void Manager::retire() {
  quiesce();
  for (auto it = instances_.rbegin(); it != instances_.rend(); ++it) (*it)->retire();
}

std::shared_ptr<const chain::Table> Manager::table() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

uint64_t Manager::generation() const {
  const std::lock_guard lock(mutex_);
  return generation_;
}

Instance* Manager::find(std::string_view id) const {
  for (const auto& plugin : instances_)
    if (plugin->id() == id) return plugin.get();
  return nullptr;
}

}  // namespace bulkhead::hosting
