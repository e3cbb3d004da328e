#include "core/app/admin.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "bulkhead/status.hpp"
#include "bulkhead/text/glob.hpp"
#include "bulkhead/text/json.hpp"
#include "bulkhead/text/percent.hpp"
#include "core/chain/problem.hpp"
#include "core/exchange/exchange.hpp"
#include "core/runtime/ticks.hpp"

namespace bulkhead::app {

using config::Json;
using exchange::Exchange;

namespace {

bh_flow answer(bh_exchange* ex, const Json& body) {
  Exchange::of(ex)->answer.give(200, "application/json",
                                body.dump(2, ' ', false, Json::error_handler_t::replace) + "\n", {});
  return BH_DONE;
}

std::string_view keep_segment(void* /*context*/, std::string_view segment) { return segment; }

Json hook_entry(std::string_view phase, const chain::StepRef& step, std::string_view reason) {
  return {{"phase", phase}, {"plugin", step.owner->id}, {"blocking", step.blocking}, {"reason", reason}};
}

}  // namespace

Json describe_plugins(const hosting::Manager& manager) {
  Json list = Json::array();
  for (const auto& plugin : manager.instances()) {
    const auto health = plugin->health();
    const bh_plugin& d = plugin->descriptor();
    Json grants = Json::array();
    for (size_t i = 0; i < d.grant_count; ++i) grants.push_back(to_view(d.grants[i]));
    list.push_back({{"id", plugin->id()},
                    {"plugin", to_view(d.id)},
                    {"version", to_view(d.version)},
                    {"summary", to_view(d.summary)},
                    {"file", plugin->file()},
                    {"health", plugin->started() ? health_name(health.state) : "not started"},
                    {"why", plugin->started() ? health.why : ""},
                    {"routes", plugin->routes().size()},
                    {"hooks", plugin->hooks().size()},
                    {"grants", grants}});
  }
  return list;
}

Json describe_routes(const chain::Table& table) {
  Json list = Json::array();
  for (const chain::Route& route : table.routes) {
    const Json operation = Json::parse(route.operation, nullptr, false);
    list.push_back({{"method", route.method},
                    {"path", route.pattern},
                    {"plugin", route.step.owner->id},
                    {"scope", route.scope},
                    {"blocking", route.step.blocking},
                    {"summary", operation.is_object() ? operation.value("summary", "") : ""}});
  }
  return list;
}

Json describe_chain(const chain::Table& table, std::string_view path) {
  const chain::Endpoint* endpoint = nullptr;
  if (!path.empty()) {
    bh_pair params[16];
    size_t count = 0;
    endpoint = table.router.match(path, params, &count, keep_segment, nullptr);
    if (endpoint == nullptr) return nullptr;
  }
  Json list = Json::array();
  auto add_routes = [&] {
    if (endpoint == nullptr) return;
    for (const auto& [method, plan] : endpoint->methods) {
      Json entry = hook_entry("step", plan->route->step, "the route " + method + " " + endpoint->pattern);
      entry["route"] = method + " " + endpoint->pattern;
      list.push_back(std::move(entry));
    }
  };
  bool step_shown = false;
  for (size_t i = 0; i < table.hooks.size(); ++i) {
    const chain::Hook& hook = table.hooks[i];
    if (endpoint != nullptr && !bulkhead::glob_match(hook.routes, endpoint->pattern)) continue;
    if (chain::row_of(hook.phase) > chain::kStepRow && !step_shown) {
      add_routes();
      step_shown = true;
    }
    Json entry = hook_entry(chain::phase_name(hook.phase), hook.step, table.hook_reasons[i]);
    if (!hook.routes.empty()) entry["routes"] = hook.routes;
    list.push_back(std::move(entry));
  }
  if (!step_shown) add_routes();
  return list;
}

// Where the time goes, the most first. Steps that never ran are left out.
Json describe_latency(const chain::Table& table) {
  const double second = runtime::ns_per_tick() / 1e9;
  std::vector<std::pair<uint64_t, Json>> rows;
  for (size_t i = 0; i < table.labels.size(); ++i) {
    const chain::Latency::Sum sum = table.latency->sum(static_cast<uint32_t>(i));
    if (sum.count == 0) continue;
    const chain::StepLabel& label = table.labels[i];
    const double seconds = static_cast<double>(sum.ticks) * second;
    rows.push_back({sum.ticks,
                    {{"plugin", label.plugin},
                     {"phase", label.phase},
                     {"method", label.method},
                     {"route", label.route},
                     {"count", sum.count},
                     {"seconds", seconds},
                     {"mean_us", seconds / static_cast<double>(sum.count) * 1e6}}});
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  Json list = Json::array();
  for (auto& row : rows) list.push_back(std::move(row.second));
  return list;
}

bh_flow Admin::plugins(void* self, bh_exchange* ex, const bh_request* /*rq*/, bh_error* /*err*/) {
  return answer(ex, describe_plugins(static_cast<Admin*>(self)->manager_));
}

bh_flow Admin::routes(void* self, bh_exchange* ex, const bh_request* /*rq*/, bh_error* /*err*/) {
  return answer(ex, describe_routes(*static_cast<Admin*>(self)->manager_.table()));
}

// ?path=/people/1 shows the chain of one path.
bh_flow Admin::chain(void* self, bh_exchange* ex, const bh_request* rq, bh_error* /*err*/) {
  std::string path;
  const std::string_view query = to_view(rq->query);
  if (query.starts_with("path=")) {
    path.resize(query.size() - 5);
    path.resize(percent_decode(query.substr(5), path.data()));
  }
  const Json list = describe_chain(*static_cast<Admin*>(self)->manager_.table(), path);
  if (!list.is_null()) return answer(ex, list);
  chain::answer_problem(*Exchange::of(ex), 404, "No route matches " + path + ".");
  return BH_DONE;
}

bh_flow Admin::latency(void* self, bh_exchange* ex, const bh_request* /*rq*/, bh_error* /*err*/) {
  return answer(ex, describe_latency(*static_cast<Admin*>(self)->manager_.table()));
}

bh_flow Admin::show_log(void* self, bh_exchange* ex, const bh_request* /*rq*/, bh_error* /*err*/) {
  const telemetry::Log& log = static_cast<Admin*>(self)->log_;
  return answer(ex, {{"level", telemetry::level_name(log.level())}, {"dropped", log.dropped()}});
}

bh_flow Admin::set_log(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err) {
  telemetry::Log& log = static_cast<Admin*>(self)->log_;
  Json body;
  try {
    body = bulkhead::parse_json(to_view(rq->body), {.depth = 1, .values = 10}).value;
  } catch (const bulkhead::JsonError&) {  // is no object then
  }
  telemetry::Level level{};
  if (!body.is_object() || !body.contains("level") || !body["level"].is_string() ||
      !telemetry::parse_level(body["level"].get<std::string>(), &level)) {
    std::strncpy(err->message, "Send {\"level\": \"trace|debug|info|warn|error\"}.", sizeof err->message - 1);
    return BH_E_INVALID;
  }
  log.set_level(level);
  log.write(telemetry::Level::kWarn, "log level changed", {{"log_level", telemetry::level_name(level)}});
  return show_log(self, ex, rq, err);
}

std::shared_ptr<const chain::Table> Admin::table(bool guarded) {
  bulkhead::chain::TableInput input;
  input.plugin_order = {owner_.id};
  input.order_reasons = {"by id"};
  if (guarded)
    for (const bulkhead::chain::Hook& hook : manager_.table()->hooks) {
      if (hook.phase != BH_AUTHENTICATE || !hook.routes.empty()) continue;
      input.hooks.push_back(hook);
      input.plugin_order.push_back(hook.step.owner->id);
      input.order_reasons.emplace_back("as for other requests");
    }
  auto add = [&](const char* method, const char* pattern, bh_step step) {
    bulkhead::chain::Route route;
    route.method = method;
    route.pattern = pattern;
    route.step = {step, this, &owner_, false};
    if (guarded) route.scope = "host:admin";
    input.routes.push_back(std::move(route));
  };
  add("GET", "/_host/plugins", &Admin::plugins);
  add("GET", "/_host/routes", &Admin::routes);
  add("GET", "/_host/chain", &Admin::chain);
  add("GET", "/_host/latency", &Admin::latency);
  add("GET", "/_host/log", &Admin::show_log);
  add("POST", "/_host/log", &Admin::set_log);
  std::string error;
  return bulkhead::chain::build_table(std::move(input), 1, &error);
}

}  // namespace bulkhead::app
