// Calling a plugin's step, under a frame that names it should it crash.
#pragma once

#include <string_view>

#include "core/chain/run.hpp"

namespace bulkhead::chain {

// `ticket`: of a step on the executor, 0 on the home thread. `err` needs not be initialized.
bh_flow call_step(Run& run, const StepRef& step, const bh_request* rq, std::string_view name, uint32_t ticket,
                  bh_error* err);

}  // namespace bulkhead::chain
