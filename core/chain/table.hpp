// Table: everything one generation answers with. Immutable once built; each
// exchange keeps the table it began with.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.h"
#include "core/chain/course.hpp"
#include "core/chain/latency.hpp"
#include "core/chain/router.hpp"

namespace bulkhead::chain {

// The plugin instance a step belongs to.
struct Owner {
  std::string id;
  bool sees_authorization = false;
  bool sees_cookie = false;
  std::atomic<bool> starting{false};  // its routes answer 503 until it is ready
};

struct StepRef {
  bh_step run = nullptr;
  void* self = nullptr;
  const Owner* owner = nullptr;
  bool blocking = false;
  uint32_t number = 0;  // in the table's latency
};

// What a number stands for.
struct StepLabel {
  std::string_view phase, plugin, method, route;  // phase: the name of its row; RECEIVE has no route
};

struct Route {
  std::string method, pattern, operation, scope;
  StepRef step;
  uint64_t max_body = 0;
  uint32_t timeout_ms = 0;
  std::string consumes;  // media types of its operation's body, for Accept-Patch and Accept-Post
};

struct Hook {
  uint32_t phase = 0;
  std::string routes;  // glob
  StepRef step;
};

// The steps of one route: every row's, as one array in the order they run.
struct Plan {
  Plan() { find_way(); }
  const Route* route = nullptr;  // null: nothing matched
  std::vector<StepRef> steps;
  std::array<uint32_t, kCourse.size() + 1> first{};  // row r has the steps [first[r], first[r + 1])

  std::span<const StepRef> at(size_t row) const {
    return {steps.data() + first[row], size_t{first[row + 1]} - first[row]};
  }

  // The row behind r: those whose hooks are none are passed over.
  std::array<uint8_t, kCourse.size()> next;
  void find_way();
};

struct Table {
  std::deque<Route> routes;
  std::deque<Plan> plans;
  std::vector<Hook> hooks;                // in order of phase, then of plugins
  std::vector<std::string> hook_reasons;  // why each hook is where it is
  Plan unmatched;                         // before routing, and for 404, 405, OPTIONS: hooks without a glob
  Router router;
  std::string not_found;                // detail of a 404
  std::vector<std::string> idle_hooks;  // whose glob matches no route, said for the operator
  uint64_t generation = 0;
  std::vector<StepLabel> labels;
  std::unique_ptr<Latency> latency;  // counted by readers of the table; the rest is const
};

struct TableInput {
  std::vector<Route> routes;
  std::vector<Hook> hooks;
  std::vector<std::string> plugin_order, order_reasons;
};

// Null and `error` where two routes collide or a pattern is malformed.
std::shared_ptr<const Table> build_table(TableInput input, uint64_t generation, std::string* error);

}  // namespace bulkhead::chain
