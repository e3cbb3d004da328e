// The plugin of plugin.hpp's header comment, to the letter.
#include "bulkhead/plugin.hpp"

class Hello : public bulkhead::Plugin {
 public:
  Hello(bulkhead::Host host, const bulkhead::Json& /*config*/) : Plugin(host) {
    get("/hello/{name}", &Hello::greet, R"({"summary": "Greets."})");
  }
  bulkhead::Response greet(const bulkhead::Request& request) {
    return bulkhead::text(200, "hello " + std::string(request.param("name")));
  }
};
BULKHEAD_PLUGIN(Hello, "hello", "1.0.0", "Greets callers by name.")
