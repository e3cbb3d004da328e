#include "bulkhead/plugin.hpp"
#include "hello_config.hpp"
#include "hello_embedded.hpp"

class Hello : public bulkhead::Plugin {
 public:
  Hello(bulkhead::Host host, const hello_config::Config& config) : Plugin(host), greeting_(config.greeting) {
    get("/hello/{name}", &Hello::greet, R"({"summary": "Greets."})");
  }

 private:
  bulkhead::Response greet(const bulkhead::Request& request) {
    return bulkhead::text(200, greeting_ + " " + std::string(request.param("name")));
  }

  const std::string greeting_;
};

BULKHEAD_PLUGIN(Hello, "hello", "1.0.0", "Greets callers by name.", .schema = hello_embedded::schema_json)
