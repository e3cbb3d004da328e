#include "core/chain/step_call.hpp"

#include "bulkhead/value.hpp"
#include "core/runtime/checks.hpp"
#include "core/telemetry/frame.hpp"

namespace bulkhead::chain {

bh_flow call_step(Run& run, const StepRef& step, const bh_request* rq, std::string_view name, uint32_t ticket,
                  bh_error* err) {
  const telemetry::FrameScope frame({step.owner->id, name, to_view(rq->route), to_view(rq->id)});
  const exchange::Exchange::StepScope scope(run, ticket);
  err->size = sizeof *err;
  err->code = BH_OK;
  err->message[0] = '\0';
  if (!runtime::checked()) return step.run(step.self, run.handle(), rq, err);
  const Run::Loan loan(run);
  const bh_request* const lent = run.lend(rq);
  const bh_flow flow = step.run(step.self, run.handle(), lent, err);
  run.end_loan(lent);
  return flow;
}

}  // namespace bulkhead::chain
