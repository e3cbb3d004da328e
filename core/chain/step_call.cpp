#include "core/chain/step_call.hpp"

#include "bulkhead/attributes.h"
#include "bulkhead/value.hpp"
#include "core/telemetry/frame.hpp"

namespace bulkhead::chain {

using exchange::Stage;

std::string_view stage_name(Stage stage) {
  switch (stage) {
    case Stage::kReceive:
      return "RECEIVE";
    case Stage::kAdmit:
      return "ADMIT..AUTHORIZE";
    case Stage::kPrepare:
      return "PREPARE";
    case Stage::kStep:
      return "step";
    case Stage::kRespond:
      return "RESPOND";
    case Stage::kComplete:
      return "COMPLETE";
    default:
      return "";
  }
}

const bh_request* request_for(exchange::Exchange& ex, const Owner& owner) {
  const unsigned hide =
      (ex.has_authorization && !owner.sees_authorization ? 1u : 0u) | (ex.has_cookie && !owner.sees_cookie ? 2u : 0u);
  if (hide == 0) return &ex.request;
  auto& variant = ex.blanked[hide - 1];
  if (!variant.made) {
    variant.request = ex.request;
    variant.headers = ex.headers;
    for (bh_pair& header : variant.headers)
      if (((hide & 1) != 0 &&
           (to_view(header.name) == BH_HEADER_AUTHORIZATION || to_view(header.name) == BH_HEADER_API_KEY)) ||
          ((hide & 2) != 0 && to_view(header.name) == BH_HEADER_COOKIE))
        header.value = to_str("");
    variant.request.headers = variant.headers.data();
    variant.made = true;
  } else if (variant.request.route.ptr != ex.request.route.ptr || variant.request.body.ptr != ex.request.body.ptr) {
    variant.request.route = ex.request.route;
    variant.request.deadline_ns = ex.request.deadline_ns;
    variant.request.params = ex.request.params;
    variant.request.param_count = ex.request.param_count;
    variant.request.body = ex.request.body;
  }
  return &variant.request;
}

bh_flow call_step(exchange::Exchange& ex, const StepRef& step, const bh_request* rq, std::string_view name,
                  uint32_t ticket, bh_error* err) {
  const telemetry::FrameScope frame({step.owner->id, name, to_view(rq->route), to_view(rq->id)});
  const exchange::Exchange::StepScope scope(ex, ticket);
  err->size = sizeof *err;
  err->code = BH_OK;
  err->message[0] = '\0';
  return step.run(step.self, ex.handle(), rq, err);
}

}  // namespace bulkhead::chain
