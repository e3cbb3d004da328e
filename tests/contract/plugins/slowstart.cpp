// Warms up for two seconds; then reports a state of health that a route changes.
#include "bulkhead/plugin.hpp"

class SlowStart : public bulkhead::Plugin {
 public:
  SlowStart(bulkhead::Host h, const bulkhead::Json& /*config*/) : Plugin(h) {
    h.health(BH_STARTING, "warming up");
    post("/slowstart/{state}", &SlowStart::set);
  }
  void start() override {
    const auto warm = [](void* self) { static_cast<SlowStart*>(self)->host().health(BH_READY); };
    host().raw()->timer(host().raw(), 2'000, 0, warm, this);
  }

 private:
  bulkhead::Response set(const bulkhead::Request& request) {
    const std::string_view state = request.param("state");
    host().health(state == "ready" ? BH_READY : state == "degraded" ? BH_DEGRADED : BH_FAILED, state);
    return bulkhead::Response(204);
  }
};
BULKHEAD_PLUGIN(SlowStart, "slowstart", "1.0.0", "Reports a state of health.")
