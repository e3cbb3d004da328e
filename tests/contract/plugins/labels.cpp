// Makes a series for every value it is given.
#include "bulkhead/plugin.hpp"

class Labels : public bulkhead::Plugin {
 public:
  Labels(bulkhead::Host h, const bulkhead::Json& /*config*/) : Plugin(h) {
    static constexpr std::string_view kValue[] = {"value"};
    metric_ = h.metric(BH_COUNTER, "labels_total", "By value.", kValue);
    get("/labels/{value}", &Labels::count);
  }

 private:
  bulkhead::Response count(const bulkhead::Request& request) {
    const std::string_view value[] = {request.param("value")};
    host().record(host().series(metric_, value), 1);
    return bulkhead::Response(204);
  }
  uint32_t metric_ = 0;
};
BULKHEAD_PLUGIN(Labels, "labels", "1.0.0", "A series for every value.")
