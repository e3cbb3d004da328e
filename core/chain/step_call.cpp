#include "core/chain/step_call.hpp"

#include "bulkhead/status.hpp"
#include "bulkhead/value.hpp"
#include "core/runtime/checks.hpp"
#include "core/runtime/frame.hpp"

namespace bulkhead::chain {

namespace {

// In checked mode: the step's own copy of the request.
class LoanOfRequest {
 public:
  LoanOfRequest(Run& run, const bh_request* request) : run_(run), view_(run.lend(request)) {}
  ~LoanOfRequest() { run_.end_loan(view_); }
  LoanOfRequest(const LoanOfRequest&) = delete;
  LoanOfRequest& operator=(const LoanOfRequest&) = delete;
  const bh_request* view() const { return view_; }

 private:
  Run& run_;
  const bh_request* const view_;
};

}  // namespace

bh_flow call_step(Run& run, const StepRef& step, const bh_request* rq, std::string_view name, uint32_t ticket,
                  bh_error* err) {
  const exchange::Exchange::StepScope scope(run, ticket);
  err->size = sizeof *err;
  err->code = BH_OK;
  err->message[0] = '\0';
  bh_flow flow = BH_NEXT;
  const runtime::Gate::Open gate(ticket == 0 ? &run.home().gate() : nullptr);
  const std::string threw = runtime::contain({step.owner->id, name, to_view(rq->route), to_view(rq->id)}, [&] {
    if (!runtime::checked()) {
      flow = step.run(step.self, run.handle(), rq, err);
      return;
    }
    const Run::Loan loan(run);
    const LoanOfRequest lent(run, rq);
    flow = step.run(step.self, run.handle(), lent.view(), err);
  });
  return threw.empty() ? flow : set_error(err, BH_E_INTERNAL, threw);
}

}  // namespace bulkhead::chain
