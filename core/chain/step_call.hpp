// Calling a plugin's step: with the request as that plugin may see it, and a frame that names it
// should it crash.
#pragma once

#include <string_view>

#include "core/chain/table.hpp"
#include "core/exchange/exchange.hpp"

namespace bulkhead::chain {

std::string_view stage_name(exchange::Stage stage);

// The request with the headers blanked that the plugin has no grant for.
const bh_request* request_for(exchange::Exchange& ex, const Owner& owner);

// `ticket`: of a step on the executor, 0 on the home thread. `err` needs not be initialized.
bh_flow call_step(exchange::Exchange& ex, const StepRef& step, const bh_request* rq, std::string_view name,
                  uint32_t ticket, bh_error* err);

}  // namespace bulkhead::chain
