// Registers what the configuration says, however odd.
#include "bulkhead/plugin.hpp"

class Odd : public bulkhead::Plugin {
 public:
  Odd(bulkhead::Host h, const bulkhead::Json& config) : Plugin(h), operation_(config.value("operation", "")) {
    route(config.at("method").get_ref<const std::string&>(), config.at("pattern").get_ref<const std::string&>(),
          &Odd::answer_nothing, operation_);
    if (const std::string glob = config.value("hook", ""); !glob.empty())
      hook(
          BH_PREPARE, [](const bulkhead::Request&) { return bh_flow{BH_NEXT}; }, glob);
  }

 private:
  bulkhead::Response answer_nothing(const bulkhead::Request&) { return bulkhead::Response(204); }

  const std::string operation_;
};

constexpr bh_str kGrants[] = {bulkhead::to_str("route:/people*"), bulkhead::to_str("route:/odd*")};
BULKHEAD_PLUGIN(
    Odd, "odd", "1.0.0", "Registers what the configuration says.",
    .schema =
        R"({"type":"object","additionalProperties":false,"properties":{"method":{"type":"string","description":"Of the route."},"pattern":{"type":"string","description":"Of the route."},"operation":{"type":"string","description":"Of the route."},"hook":{"type":"string","description":"Glob of a hook."}}})",
    .grants = kGrants)
