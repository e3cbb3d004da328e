#include "core/chain/order.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace bulkhead::chain {

namespace {

using Graph = std::map<std::string, std::map<std::string, std::string>>;  // node -> predecessors -> reason

// Follows predecessors among the nodes that could not be placed until one comes back.
std::string find_cycle(const Graph& predecessors, const std::set<std::string>& left) {
  std::vector<std::string> path{*left.begin()};
  while (true) {
    const std::string* next = nullptr;
    for (const auto& [id, reason] : predecessors.at(path.back()))
      if (left.contains(id)) next = &id;
    if (next == nullptr) return path.back();
    const auto seen = std::find(path.begin(), path.end(), *next);
    if (seen != path.end()) {
      std::string text = *next;
      for (auto it = path.end(); it != seen;) text += " -> " + *--it;
      return text;
    }
    path.push_back(*next);
  }
}

}  // namespace

Order order_plugins(const std::vector<OrderRule>& rules) {
  Graph predecessors;
  for (const OrderRule& rule : rules) predecessors[rule.id];
  auto edge = [&](const std::string& first, const std::string& second, const std::string& reason) {
    if (predecessors.contains(first) && predecessors.contains(second) && first != second)
      predecessors[second].emplace(first, reason);
  };
  for (const OrderRule& rule : rules) {
    for (const auto& id : rule.after) edge(id, rule.id, "after " + id);
    for (const auto& id : rule.before) edge(rule.id, id, "because " + rule.id + " is before it");
    for (const auto& id : rule.operator_after) edge(id, rule.id, "after " + id + " (configuration)");
    for (const auto& id : rule.operator_before)
      edge(rule.id, id, "because " + rule.id + " is before it (configuration)");
  }

  Order order;
  std::set<std::string> left;
  for (const auto& [id, unused] : predecessors) left.insert(id);
  while (!left.empty()) {
    const auto ready = std::find_if(left.begin(), left.end(), [&](const std::string& id) {
      return std::none_of(predecessors[id].begin(), predecessors[id].end(),
                          [&](const auto& entry) { return left.contains(entry.first); });
    });
    if (ready == left.end()) {
      order.cycle = find_cycle(predecessors, left);
      return order;
    }
    std::string reason;
    for (const auto& [id, why] : predecessors[*ready]) reason += (reason.empty() ? "" : ", ") + why;
    order.ids.push_back(*ready);
    order.reasons.push_back(reason.empty() ? "by id" : reason);
    left.erase(ready);
  }
  return order;
}

}  // namespace bulkhead::chain
