#include "core/app/commands.hpp"

#include <algorithm>
#include <iomanip>
#include <iostream>

#include "bulkhead/extensions/command.h"
#include "bulkhead/text/nearest.hpp"
#include "bulkhead/value.hpp"
#include "core/app/host.hpp"
#include "core/hosting/library.hpp"
#include "core/runtime/duty.hpp"
#include "core/runtime/frame.hpp"
#include "core/version.hpp"

namespace bulkhead::app {

using config::Json;

namespace {

int refused(const Host& host, bool json = false) {
  if (json)
    std::cout << Json{{"ok", false}, {"errors", host.errors()}}.dump(2) << "\n";
  else
    for (const std::string& error : host.errors()) std::cerr << error << "\n";
  return 1;
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i)
      std::cout << row[i] << (i + 1 < row.size() ? std::string(widths[i] - row[i].size() + 2, ' ') : "\n");
  }
}

Json strings(const bh_str* list, size_t count) {
  Json out = Json::array();
  for (size_t i = 0; i < count; ++i) out.push_back(to_view(list[i]));
  return out;
}

Json services(const bh_need* list, size_t count) {
  Json out = Json::array();
  for (size_t i = 0; i < count; ++i)
    out.push_back(
        {{"service", to_view(list[i].service)}, {"version", list[i].version}, {"optional", list[i].optional != 0}});
  return out;
}

void print_to_stdout(void* /*out*/, bh_str text) { std::cout << to_view(text) << std::flush; }

}  // namespace

int serve(const std::string& config, Supervisor& supervisor) {
  Host host(config);
  if (!host.errors().empty()) return refused(host);
  const int status = host.serve(supervisor);
  return status == 0 ? 0 : refused(host);
}

int check(const std::string& config, bool json) {
  Host host(config);
  if (!host.errors().empty() || !host.create_plugins()) return refused(host, json);
  const size_t routes = host.manager().table()->routes.size();
  const std::vector<std::string> warnings = host.warnings();
  const auto notes = host.notes();
  if (json) {
    Json told = Json::object();
    for (const auto& [id, note] : notes) told[id].push_back(note);
    std::cout << Json{{"ok", true},       {"warnings", warnings},
                      {"notes", told},    {"plugins", host.manager().instances().size()},
                      {"routes", routes}, {"scopes", host.config().enforce_scopes ? "enforce" : "ignore"}}
                     .dump(2)
              << "\n";
    return 0;
  }
  std::cout << config << ": good, " << host.manager().instances().size() << " plugins, " << routes << " routes\n";
  for (const auto& [id, note] : notes) std::cout << id << ": " << note << "\n";
  for (const std::string& warning : warnings) std::cout << "warning: " << warning << "\n";
  if (!host.config().enforce_scopes && warnings.empty())
    std::cout << "note: server.scopes is ignore, so every operation is open to everybody who reaches "
              << host.config().listen.front().address << "\n";
  return 0;
}

int list_plugins(const std::string& config, bool json) {
  Host host(config);
  if (!host.errors().empty() || !host.create_plugins()) return refused(host, json);
  const Json list = describe_plugins(host.manager());
  if (json) {
    std::cout << list.dump(2) << "\n";
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"ID", "VERSION", "ROUTES", "HOOKS", "SUMMARY"}};
  for (const Json& each : list)
    rows.push_back({each["id"], each["version"], each["routes"].dump(), each["hooks"].dump(), each["summary"]});
  print_table(rows);
  return 0;
}

int list_routes(const std::string& config, bool json) {
  Host host(config);
  if (!host.errors().empty() || !host.create_plugins()) return refused(host, json);
  const Json list = describe_routes(*host.manager().table());
  if (json) {
    std::cout << list.dump(2) << "\n";
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"METHOD", "PATH", "PLUGIN", "SCOPE", "SUMMARY"}};
  for (const Json& each : list)
    rows.push_back({each["method"], each["path"], each["plugin"],
                    each["scope"].get<std::string>().empty() ? "-" : each["scope"], each["summary"]});
  print_table(rows);
  return 0;
}

int show_chain(const std::string& config, const std::string& path, bool json) {
  Host host(config);
  if (!host.errors().empty() || !host.create_plugins()) return refused(host, json);
  const Json list = describe_chain(*host.manager().table(), path);
  if (list.is_null()) {
    std::cerr << "no route matches " << path << "; 'bulkhead routes " << config << "' lists them\n";
    return 1;
  }
  if (json) {
    std::cout << list.dump(2) << "\n";
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"PHASE", "PLUGIN", "RUNS ON", "WHY HERE"}};
  for (const Json& each : list)
    rows.push_back(
        {each["phase"], each["plugin"], each["blocking"].get<bool>() ? "executor" : "I/O thread", each["reason"]});
  print_table(rows);
  return 0;
}

int inspect(const std::string& file, bool json) {
  std::string error;
  const auto library = hosting::Library::open(file, &error);
  if (!library) {
    if (json)
      std::cout << Json{{"ok", false}, {"errors", {error}}}.dump(2) << "\n";
    else
      std::cerr << error << "\n";
    return 1;
  }
  const bh_plugin& d = library->descriptor();
  const Json info = {{"ok", true},
                     {"file", file},
                     {"id", to_view(d.id)},
                     {"version", to_view(d.version)},
                     {"summary", to_view(d.summary)},
                     {"abi", std::to_string(d.abi_major) + "." + std::to_string(d.abi_minor)},
                     {"needs", services(d.needs, d.need_count)},
                     {"offers", services(d.offers, d.offer_count)},
                     {"grants", strings(d.grants, d.grant_count)},
                     {"after", strings(d.after, d.after_count)},
                     {"before", strings(d.before, d.before_count)},
                     {"schema", to_view(d.schema).empty() ? Json(nullptr) : Json::parse(to_view(d.schema))}};
  if (json) {
    std::cout << info.dump(2) << "\n";
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const char* key : {"id", "version", "summary", "abi", "file"}) rows.push_back({key, info[key]});
  for (const char* key : {"needs", "offers"})
    for (const Json& each : info[key])
      rows.push_back({key, each["service"].get<std::string>() + " " + each["version"].dump() +
                               (each["optional"].get<bool>() ? " (optional)" : "")});
  for (const char* key : {"grants", "after", "before"})
    for (const Json& each : info[key]) rows.push_back({key, each});
  if (info["schema"].is_object() && info["schema"].contains("properties"))
    for (const auto& [name, property] : info["schema"]["properties"].items())
      rows.push_back({"config", name + ": " + property.value("description", "")});
  print_table(rows);
  return 0;
}

int run_command(const std::string& config, const std::string& id, const std::vector<std::string>& words) {
  Host host(config);
  if (!host.errors().empty() || !host.create_plugins()) return refused(host);
  hosting::Instance* plugin = host.manager().find(id);
  if (plugin == nullptr) {
    std::vector<std::string> ids;
    for (const auto& each : host.manager().instances()) ids.push_back(each->id());
    const std::string near = nearest(id, ids);
    std::cerr << "no plugin '" << id << "' in " << config << (near.empty() ? "" : ", did you mean '" + near + "'?")
              << "\n";
    return 2;
  }
  const auto* commands = static_cast<const bh_commands*>(plugin->extension(to_str(BH_COMMAND_ID)));
  if (commands == nullptr || commands->count == 0) {
    std::cerr << "the plugin '" << id << "' has no commands\n";
    return 2;
  }
  std::vector<std::string> names;
  const bh_command_info* found = nullptr;
  for (uint32_t i = 0; i < commands->count; ++i) {
    names.emplace_back(to_view(commands->list[i].name));
    if (!words.empty() && words[0] == names.back()) found = &commands->list[i];
  }
  if (found == nullptr) {
    if (!words.empty()) {
      const std::string near = nearest(words[0], names);
      std::cerr << "'" << id << "' has no command '" << words[0] << "'"
                << (near.empty() ? "" : ", did you mean '" + near + "'?") << "\n";
    }
    for (uint32_t i = 0; i < commands->count; ++i) {
      const bh_command_info& each = commands->list[i];
      std::cerr << "bulkhead run " << id << " " << to_view(each.name) << " " << to_view(each.usage) << "\n    "
                << to_view(each.summary) << "\n";
    }
    return 2;
  }
  if (!host.start_plugins()) return refused(host);
  std::vector<bh_str> args;
  for (size_t i = 1; i < words.size(); ++i) args.push_back(to_str(words[i]));
  bh_error err{};
  err.size = sizeof err;
  const runtime::Duty::Scope duty(runtime::control_duty, id, "the command '" + words[0] + "'", 0);
  const runtime::Frame frame{id, words[0]};
  const runtime::FrameScope scope(frame);
  const int status =
      commands->run(plugin->self(), found->name, args.data(), args.size(), print_to_stdout, nullptr, &err);
  if (status != 0) std::cerr << id << " " << to_view(found->name) << ": " << err.message << "\n";
  return status;
}

std::string version_text() {
  return "bulkhead " + std::string(kVersion) + ", plugin ABI " + std::to_string(BH_ABI_MAJOR) + "." +
         std::to_string(BH_ABI_MINOR);
}

int check_command(std::string_view word, const std::vector<std::string>& commands) {
  if (word.empty() || word.starts_with('-') || std::find(commands.begin(), commands.end(), word) != commands.end())
    return 0;
  const std::string near = nearest(word, commands);
  std::cerr << "bulkhead has no command '" << word << "'"
            << (near.empty() ? "; 'bulkhead --help' lists them" : ", did you mean '" + near + "'?") << "\n";
  return 2;
}

int show_version(bool json) {
  const std::string abi = std::to_string(BH_ABI_MAJOR) + "." + std::to_string(BH_ABI_MINOR);
  if (json)
    std::cout << Json{{"version", kVersion}, {"abi", abi}}.dump() << "\n";
  else
    std::cout << version_text() << "\n";
  return 0;
}

}  // namespace bulkhead::app
