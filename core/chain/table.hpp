// Table: everything one generation answers with. Immutable once built; each
// exchange keeps the table it began with.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.h"
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
  std::string_view phase, plugin, method, route;  // the step itself has the phase "step"; RECEIVE has no route
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

// The steps of one route, as flat arrays in the order they run.
struct Plan {
  const Route* route = nullptr;  // null: nothing matched
  StepRef step;                  // the route's own
  std::vector<StepRef> admit;    // ADMIT, AUTHENTICATE, AUTHORIZE
  std::vector<StepRef> prepare, respond, complete;
};

struct Table {
  std::deque<Route> routes;
  std::deque<Plan> plans;
  std::vector<Hook> hooks;                // in order of phase, then of plugins
  std::vector<std::string> hook_reasons;  // why each hook is where it is
  std::vector<StepRef> receive;
  Plan unmatched;  // 404, 405, OPTIONS: hooks without a glob
  Router router;
  std::string not_found;                // detail of a 404
  std::vector<std::string> idle_hooks;  // whose glob matches no route, said for the operator
  uint64_t generation = 0;
  std::vector<StepLabel> labels;
  std::unique_ptr<Latency> latency;  // counted by those who only read the rest
};

struct TableInput {
  std::vector<Route> routes;
  std::vector<Hook> hooks;
  std::vector<std::string> plugin_order, order_reasons;
};

// Null and `error` where two routes collide or a pattern is malformed.
std::shared_ptr<const Table> build_table(TableInput input, uint64_t generation, std::string* error);

std::string_view phase_name(uint32_t phase);

}  // namespace bulkhead::chain
