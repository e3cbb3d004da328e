// Needs a service that no plugin offers.
#include "bulkhead/plugin.hpp"

class Needy : public bulkhead::Plugin {
 public:
  Needy(bulkhead::Host host, const bulkhead::Json& /*config*/) : Plugin(host) {}
};
constexpr bh_need kNeeds[] = {bulkhead::service("test.absent", 3)};
BULKHEAD_PLUGIN(Needy, "needy", "1.0.0", "Needs a service nobody offers.", .needs = kNeeds)
