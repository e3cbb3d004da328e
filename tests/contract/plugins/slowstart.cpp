// Reports a state of health that a route changes.
#include "bulkhead/plugin.hpp"

class SlowStart : public bulkhead::Plugin {
 public:
  SlowStart(bulkhead::Host h, const bulkhead::Json& /*config*/) : Plugin(h) {
    h.health(BH_STARTING, "warming up");
    post("/slowstart/{state}", &SlowStart::set);
  }

 private:
  bulkhead::Response set(const bulkhead::Request& request) {
    const std::string_view state = request.param("state");
    host().health(state == "ready" ? BH_READY : state == "degraded" ? BH_DEGRADED : BH_FAILED, state);
    return bulkhead::Response(204);
  }
};
BULKHEAD_PLUGIN(SlowStart, "slowstart", "1.0.0", "Reports a state of health.")
