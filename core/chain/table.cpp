#include "core/chain/table.hpp"

#include <algorithm>

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

Plan make_plan(const Table& table, const Route* route) {
  Plan plan;
  plan.route = route;
  for (const Hook& hook : table.hooks) {
    const bool applies = route != nullptr ? glob_match(hook.routes, route->pattern) : hook.routes.empty();
    if (!applies) continue;
    if (hook.phase == BH_ADMIT || ((hook.phase == BH_AUTHENTICATE || hook.phase == BH_AUTHORIZE) && route != nullptr))
      plan.admit.push_back(hook.step);
    else if (hook.phase == BH_PREPARE && route != nullptr)
      plan.prepare.push_back(hook.step);
    else if (hook.phase == BH_RESPOND)
      plan.respond.push_back(hook.step);
    else if (hook.phase == BH_COMPLETE)
      plan.complete.push_back(hook.step);
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
    if (hook.phase == BH_RECEIVE) table->receive.push_back(hook.step);
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
  return table;
}

}  // namespace bulkhead::chain
