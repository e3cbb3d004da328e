// Order of plugins within a phase: before/after edges, then ties by id.
#pragma once

#include <string>
#include <vector>

namespace bulkhead::chain {

struct OrderRule {
  std::string id;
  std::vector<std::string> after, before;                    // the plugin's own
  std::vector<std::string> operator_after, operator_before;  // the configuration's
};

struct Order {
  std::vector<std::string> ids;
  std::vector<std::string> reasons;  // why each is where it is, same index
  std::string cycle;                 // "a -> b -> a" where the rules contradict each other
};

// Ids that are named in a rule but not present are ignored: an absent plugin orders nothing.
Order order_plugins(const std::vector<OrderRule>& rules);

}  // namespace bulkhead::chain
