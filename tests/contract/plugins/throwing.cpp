// Throws wherever the configuration says.
#include <stdexcept>

#include "bulkhead/plugin.hpp"

class Throwing : public bulkhead::Plugin {
 public:
  Throwing(bulkhead::Host host, const bulkhead::Json& config) : Plugin(host), where_(config.value("where", "")) {
    if (where_ == "create") throw std::runtime_error("no create today");
    get("/throwing/exception", &Throwing::exception);
    get("/throwing/other", &Throwing::other);
    get("/throwing/problem", &Throwing::problem);
    get("/throwing/nonsense", &Throwing::nonsense);
  }
  void start() override {
    if (where_ == "start") throw std::runtime_error("no start today");
  }
  void stop() override {
    if (where_ == "stop") throw std::runtime_error("no stop today");
  }

 private:
  bulkhead::Response nonsense(const bulkhead::Request&) { throw bulkhead::Problem(99, "No such status."); }
  bulkhead::Response exception(const bulkhead::Request&) { throw std::runtime_error("secret reason"); }
  bulkhead::Response other(const bulkhead::Request&) { throw 42; }
  bulkhead::Response problem(const bulkhead::Request&) {
    throw bulkhead::Problem(422, "Not like this.", {{"/a", "is wrong"}});
  }

  std::string where_;
};
BULKHEAD_PLUGIN(
    Throwing, "throwing", "1.0.0", "Throws.",
    .schema =
        R"({"type":"object","additionalProperties":false,"properties":{"where":{"type":"string","enum":["create","start","stop"],"description":"Where to throw."}}})")
