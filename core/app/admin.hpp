// The admin listener's routes: /_host/plugins, /_host/routes, /_host/chain, /_host/log.
#pragma once

#include <memory>

#include "core/chain/table.hpp"
#include "core/config/document.hpp"
#include "core/hosting/manager.hpp"
#include "core/telemetry/log.hpp"

namespace bulkhead::app {

config::Json describe_plugins(const hosting::Manager& manager);
config::Json describe_routes(const chain::Table& table);
// Hooks in the order they run with the reason of each place; of one path ("" = all). Null if
// nothing matches.
config::Json describe_chain(const chain::Table& table, std::string_view path);

class Admin {
 public:
  Admin(const hosting::Manager& manager, telemetry::Log& log) : manager_(manager), log_(log) {}
  // `guarded`: callers are identified by the plugins' AUTHENTICATE hooks, and need the scope
  // host:admin.
  std::shared_ptr<const chain::Table> table(bool guarded);

 private:
  static bh_flow plugins(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err);
  static bh_flow routes(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err);
  static bh_flow chain(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err);
  static bh_flow latency(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err);
  static bh_flow show_log(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err);
  static bh_flow set_log(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err);

  const hosting::Manager& manager_;
  telemetry::Log& log_;
  const bulkhead::chain::Owner owner_{"host", true, true};
};

}  // namespace bulkhead::app
