#include "core/chain/table.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bulkhead/text/glob.hpp"

namespace bulkhead::chain {

namespace {

StepRef number(Table& table, StepRef step, std::string_view phase, const Route* route) {
  step.number = static_cast<uint32_t>(table.labels.size());
  table.labels.push_back({phase, step.owner->id, route != nullptr ? std::string_view(route->method) : "",
                          route != nullptr ? std::string_view(route->pattern) : ""});
  return step;
}

Plan make_plan(Table& table, const Route* route) {
  Plan plan;
  plan.route = route;
  for (size_t r = 0; r < kCourse.size(); ++r) {
    const Row& row = kCourse[r];
    plan.first[r] = static_cast<uint32_t>(plan.steps.size());
    if (row.work == Work::kStep && route != nullptr) plan.steps.push_back(number(table, route->step, row.name, route));
    // Before routing every exchange is on the plan of what matches no route.
    if (row.work != Work::kHooks || (route == nullptr ? !row.unmatched : r < row_of(Work::kRoute))) continue;
    for (const Hook& hook : table.hooks)
      if (hook.phase == row.phase && (route != nullptr ? glob_match(hook.routes, route->pattern) : hook.routes.empty()))
        plan.steps.push_back(number(table, hook.step, row.name, route));
  }
  plan.first.back() = static_cast<uint32_t>(plan.steps.size());
  plan.find_way();
  return plan;
}

std::string media_types(const std::string& operation) {
  const nlohmann::json described = nlohmann::json::parse(operation, nullptr, false);
  const nlohmann::json::json_pointer at("/requestBody/content");
  std::string types;
  if (described.is_object() && described.contains(at) && described.at(at).is_object())
    for (const auto& [type, unused] : described.at(at).items()) types.append(types.empty() ? "" : ", ").append(type);
  return types;
}

std::vector<std::string> find_idle_hooks(const Table& table) {
  std::vector<std::string> idle;
  for (const Hook& hook : table.hooks) {
    if (hook.routes.empty() || std::any_of(table.routes.begin(), table.routes.end(),
                                           [&](const Route& route) { return glob_match(hook.routes, route.pattern); }))
      continue;
    std::string line = "plugin '" + hook.step.owner->id + "': its hooks for '" + hook.routes + "' match no route";
    if (std::find(idle.begin(), idle.end(), line) == idle.end()) idle.push_back(std::move(line));
  }
  return idle;
}

// The detail of a 404: where the caller finds what is served.
std::string describe_not_found(const Table& table) {
  static constexpr size_t kMost = 12;
  std::string detail = "Nothing is served at this path.";
  std::vector<std::string_view> patterns;
  for (const Route& route : table.routes) {
    if (route.pattern == "/openapi.json") return detail + " /openapi.json lists what is.";
    if (std::find(patterns.begin(), patterns.end(), route.pattern) == patterns.end()) patterns.push_back(route.pattern);
  }
  if (patterns.empty() || patterns.size() > kMost) return detail;
  detail += " Served are";
  for (const std::string_view pattern : patterns)
    detail.append(pattern == patterns.front() ? " " : ", ").append(pattern);
  return detail + ".";
}

}  // namespace

void Plan::find_way() {
  uint8_t behind = kCourse.size() - 1;
  for (size_t r = kCourse.size(); r-- > 0;) {
    next[r] = behind;
    if (kCourse[r].work != Work::kHooks || !at(r).empty()) behind = static_cast<uint8_t>(r);
  }
}

std::shared_ptr<const Table> build_table(TableInput input, uint64_t generation, std::string* error) {
  auto table = std::make_shared<Table>();
  table->generation = generation;

  const auto reversed = [](const Hook& hook) { return kCourse[row_of(hook.phase)].reversed; };
  auto rank = [&](const Hook& hook) {
    const auto it = std::find(input.plugin_order.begin(), input.plugin_order.end(), hook.step.owner->id);
    const auto place = it - input.plugin_order.begin();
    return reversed(hook) ? -place : place;
  };
  std::stable_sort(input.hooks.begin(), input.hooks.end(), [&](const Hook& a, const Hook& b) {
    return a.phase != b.phase ? row_of(a.phase) < row_of(b.phase) : rank(a) < rank(b);
  });
  table->hooks = std::move(input.hooks);
  for (const Hook& hook : table->hooks) {
    const auto it = std::find(input.plugin_order.begin(), input.plugin_order.end(), hook.step.owner->id);
    table->hook_reasons.push_back(input.order_reasons[static_cast<size_t>(it - input.plugin_order.begin())] +
                                  (reversed(hook) ? ", reversed" : ""));
  }
  for (Route& route : input.routes) {
    route.consumes = media_types(route.operation);
    table->routes.push_back(std::move(route));
  }
  for (const Route& route : table->routes) {
    table->plans.push_back(make_plan(*table, &route));
    if (std::string wrong = table->router.add(route.method, route.pattern, &table->plans.back()); !wrong.empty()) {
      *error = "plugin '" + route.step.owner->id + "': route " + route.method + " " + route.pattern + ": " + wrong;
      return nullptr;
    }
  }
  table->unmatched = make_plan(*table, nullptr);
  table->not_found = describe_not_found(*table);
  table->idle_hooks = find_idle_hooks(*table);
  table->latency = std::make_unique<Latency>(table->labels.size());
  return table;
}

}  // namespace bulkhead::chain
