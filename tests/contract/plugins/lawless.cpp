// Breaks the contract below the C++ face: what is called over the C ABI throws.
#include <csignal>
#include <stdexcept>
#include <string>

#include "bulkhead/plugin.hpp"

namespace {

bh_flow throws(void* /*self*/, bh_exchange* /*ex*/, const bh_request* /*rq*/, bh_error* /*err*/) {
  throw std::runtime_error("raw reason");
}
bh_flow throws_int(void* /*self*/, bh_exchange* /*ex*/, const bh_request* /*rq*/, bh_error* /*err*/) { throw 42; }
void crashes(void* /*arg*/) { ::raise(SIGSEGV); }
void throws_anywhere(void* where) { throw std::runtime_error(static_cast<const char*>(where)); }

}  // namespace

class Lawless : public bulkhead::Plugin {
 public:
  Lawless(bulkhead::Host h, const bulkhead::Json& config) : Plugin(h) {
    if (config.value("crash", false)) crashes(nullptr);
    raw("/lawless/step", throws, 0);
    raw("/lawless/int", throws_int, 0);
    raw("/lawless/blocking", throws, BH_BLOCKING);
    raw("/lawless/blocking-int", throws_int, BH_BLOCKING);
    get("/lawless/elsewhere", &Lawless::elsewhere);
    get("/lawless/edit", &Lawless::edit);
    get("/lawless/crash/{where}", &Lawless::crash);
  }

 private:
  void raw(std::string_view pattern, bh_step step, uint32_t flags) {
    bh_route route{};
    route.size = sizeof route;
    route.method = bulkhead::to_str("GET");
    route.pattern = bulkhead::to_str(pattern);
    route.step = step;
    route.self = this;
    route.flags = flags;
    host().raw()->route(host().raw(), &route, nullptr);
  }
  bulkhead::Response elsewhere(const bulkhead::Request& request) {
    const bh_host* const h = host().raw();
    h->ex_on_end(h, request.handle(), throws_anywhere, const_cast<char*>("the end"));
    h->post(h, throws_anywhere, const_cast<char*>("the task"));
    h->timer(h, 1, 0, throws_anywhere, const_cast<char*>("the moment"));
    return bulkhead::text(200, "answered");
  }
  bulkhead::Response crash(const bulkhead::Request& request) {
    const bh_host* const h = host().raw();
    const std::string_view where = request.param("where");
    if (where == "on_end") h->ex_on_end(h, request.handle(), crashes, nullptr);
    if (where == "post") h->post(h, crashes, nullptr);
    if (where == "timer") h->timer(h, 1, 0, crashes, nullptr);
    return bulkhead::text(200, "soon");
  }
  bulkhead::Response edit(const bulkhead::Request& request) {
    const bh_host* const h = host().raw();
    bh_reply change{};
    change.size = sizeof change;
    change.body = bulkhead::to_str("too early");
    return bulkhead::text(200, std::to_string(h->ex_edit(h, request.handle(), &change)));
  }
};
BULKHEAD_PLUGIN(Lawless, "lawless", "1.0.0", "Throws and crashes where it must not.",
                .schema = R"({"type": "object", "properties": {"crash": {"type": "boolean"}}})")
