// A page of HTML that says nothing of what it may do.
#include "bulkhead/plugin.hpp"

class Page : public bulkhead::Plugin {
 public:
  Page(bulkhead::Host host, const bulkhead::Json& /*config*/) : Plugin(host) { get("/page", &Page::show); }

 private:
  bulkhead::Response show(const bulkhead::Request& /*request*/) {
    return bulkhead::Response(200).type("text/html; charset=utf-8").body("<!doctype html><title>Page</title>");
  }
};
BULKHEAD_PLUGIN(Page, "page", "1.0.0", "A page.")
