#include "core/chain/table.hpp"

#include <algorithm>

#include "bulkhead/glob.hpp"

namespace bulkhead::chain {

std::string_view phase_name(uint32_t phase) {
  switch (phase) {
    case BH_RECEIVE:
      return "RECEIVE";
    case BH_ADMIT:
      return "ADMIT";
    case BH_AUTHENTICATE:
      return "AUTHENTICATE";
    case BH_AUTHORIZE:
      return "AUTHORIZE";
    case BH_PREPARE:
      return "PREPARE";
    case BH_RESPOND:
      return "RESPOND";
    case BH_COMPLETE:
      return "COMPLETE";
    default:
      return "";
  }
}

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
  if (route != nullptr) plan.step = number(table, route->step, "step", route);
  for (const Hook& hook : table.hooks) {
    const bool applies = route != nullptr ? glob_match(hook.routes, route->pattern) : hook.routes.empty();
    if (!applies) continue;
    std::vector<StepRef>* steps = nullptr;
    if (hook.phase == BH_ADMIT || ((hook.phase == BH_AUTHENTICATE || hook.phase == BH_AUTHORIZE) && route != nullptr))
      steps = &plan.admit;
    else if (hook.phase == BH_PREPARE && route != nullptr)
      steps = &plan.prepare;
    else if (hook.phase == BH_RESPOND)
      steps = &plan.respond;
    else if (hook.phase == BH_COMPLETE)
      steps = &plan.complete;
    if (steps != nullptr) steps->push_back(number(table, hook.step, phase_name(hook.phase), route));
  }
  return plan;
}

}  // namespace

std::shared_ptr<const Table> build_table(TableInput input, uint64_t generation, std::string* error) {
  auto table = std::make_shared<Table>();
  table->generation = generation;

  auto rank = [&](const Hook& hook) {
    const auto it = std::find(input.plugin_order.begin(), input.plugin_order.end(), hook.step.owner->id);
    const auto place = it - input.plugin_order.begin();
    return hook.phase == BH_RESPOND ? -place : place;
  };
  std::stable_sort(input.hooks.begin(), input.hooks.end(), [&](const Hook& a, const Hook& b) {
    return a.phase != b.phase ? a.phase < b.phase : rank(a) < rank(b);
  });
  table->hooks = std::move(input.hooks);
  for (const Hook& hook : table->hooks) {
    const auto it = std::find(input.plugin_order.begin(), input.plugin_order.end(), hook.step.owner->id);
    table->hook_reasons.push_back(input.order_reasons[static_cast<size_t>(it - input.plugin_order.begin())] +
                                  (hook.phase == BH_RESPOND ? ", reversed" : ""));
    if (hook.phase == BH_RECEIVE) table->receive.push_back(number(*table, hook.step, phase_name(BH_RECEIVE), nullptr));
  }
  for (Route& route : input.routes) table->routes.push_back(std::move(route));
  for (const Route& route : table->routes) {
    table->plans.push_back(make_plan(*table, &route));
    if (std::string wrong = table->router.add(route.method, route.pattern, &table->plans.back()); !wrong.empty()) {
      *error = "plugin '" + route.step.owner->id + "': route " + route.method + " " + route.pattern + ": " + wrong;
      return nullptr;
    }
  }
  table->unmatched = make_plan(*table, nullptr);
  table->latency = std::make_unique<Latency>(table->labels.size());
  return table;
}

}  // namespace bulkhead::chain
