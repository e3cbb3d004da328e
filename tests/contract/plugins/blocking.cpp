// Steps and hooks on the executor.
#include <thread>

#include "bulkhead/plugin.hpp"

class Blocking : public bulkhead::Plugin {
 public:
  Blocking(bulkhead::Host host, const bulkhead::Json& /*config*/) : Plugin(host) {
    route("GET", "/blocking/{ms}", &Blocking::wait, {}, {.blocking = true});
    route("GET", "/blocking/timed/{ms}", &Blocking::wait, {}, {.blocking = true, .timeout_ms = 200});
    route("GET", "/blocking/fails", &Blocking::fails, {}, {.blocking = true});
    hook(BH_RESPOND, &Blocking::mark, "/blocking/*", true);
    hook(BH_COMPLETE, &Blocking::complete, "/blocking/*", true);
  }

 private:
  bulkhead::Response wait(const bulkhead::Request& request) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(std::string(request.param("ms")))));
    return bulkhead::text(200, "waited");
  }
  bulkhead::Response fails(const bulkhead::Request&) { throw std::runtime_error("on the executor"); }
  bh_flow mark(const bulkhead::Request& request) {
    const bh_pair field{BH_LIT("x-marked"), BH_LIT("yes")};
    bh_reply change{};
    change.size = sizeof change;
    change.headers = &field;
    change.header_count = 1;
    host().raw()->ex_edit(host().raw(), request.handle(), &change);
    return BH_NEXT;
  }
  bh_flow complete(const bulkhead::Request& /*request*/) { return BH_NEXT; }
};
BULKHEAD_PLUGIN(Blocking, "blocking", "1.0.0", "Blocks on the executor.")
