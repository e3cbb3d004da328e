// Tries what it has no grant for, as the configuration says.
#include "bulkhead/plugin.hpp"

class Reserved : public bulkhead::Plugin {
 public:
  Reserved(bulkhead::Host h, const bulkhead::Json& config) : Plugin(h) {
    const std::string what = config.value("try", "");
    if (what == "route") get("/elsewhere", &Reserved::show);
    if (what == "publish") h.publish("bh.sql", 1, this, this);
    try_acquire_ = what == "acquire";
    get("/reserved/credentials", &Reserved::show);
    get("/reserved/identity", &Reserved::identity);
  }
  void start() override {
    if (try_acquire_) host().acquire<int>("bh.sql", 1);
  }

 private:
  bulkhead::Response show(const bulkhead::Request& r) {
    return bulkhead::text(200, "authorization=" + std::string(r.header("authorization")) + " cookie=" +
                                   std::string(r.header("cookie")) + " accept=" + std::string(r.header("accept")));
  }
  bulkhead::Response identity(const bulkhead::Request& r) {
    return bulkhead::text(200, std::to_string(r.attribute("identity.subject", "root")) + " " +
                                   std::to_string(r.attribute("other.key", "x")) + " " +
                                   std::to_string(r.attribute("reserved.key", "x")) + " " +
                                   std::to_string(r.attribute("tls.client.subject", "CN=root")));
  }
  bool try_acquire_ = false;
};
BULKHEAD_PLUGIN(
    Reserved, "reserved", "1.0.0", "Tries what it may not.",
    .schema =
        R"({"type":"object","additionalProperties":false,"properties":{"try":{"type":"string","description":"What to try."}}})")
