// The health plugin: is the process alive, are its plugins ready.
#include <string>

#include "bulkhead/extensions/introspect.hpp"
#include "bulkhead/plugin.hpp"
#include "bulkhead/text/scopes.hpp"
#include "health_config.hpp"
#include "health_embedded.hpp"

namespace health {

using bulkhead::Json;

class Health : public bulkhead::Plugin {
 public:
  Health(bulkhead::Host h, const health_config::Config& config)
      : Plugin(h),
        service_(config.service),
        live_(nlohmann::ordered_json{{"status", "alive"}, {"service", service_}}.dump()),
        introspection_(h) {
    if (!introspection_) throw bulkhead::Failure(BH_E_UNSUPPORTED, "the host lacks bh.introspect/1");
    const bulkhead::Operations operation(health_embedded::operations_json);
    get("/health/live", &Health::live, operation("live"));
    get("/health/ready", &Health::ready, operation("ready"));
  }

 private:
  // The process answers: that is all a liveness probe should ask, or a dead database restarts every
  // host.
  bulkhead::Response live(const bulkhead::Request& /*request*/) {
    return bulkhead::Response(200).type("application/json").lend(live_);
  }

  // Strangers see states. Reasons hold addresses, roles and a driver's words: they are in the log,
  // at /_host/plugins, and here for callers with the scope host:admin.
  bulkhead::Response ready(const bulkhead::Request& request) {
    const bool reasons = bulkhead::has_scope(request.attribute(BH_IDENTITY_SCOPES), "host:admin");
    nlohmann::ordered_json plugins = nlohmann::ordered_json::object();
    bool ready = true, degraded = false;
    introspection_.plugins([&](const bh_plugin_info& info) {
      ready = ready && (info.health == BH_READY || info.health == BH_DEGRADED);
      degraded = degraded || info.health == BH_DEGRADED;
      auto& entry = plugins[std::string(bulkhead::to_view(info.instance))];
      entry["state"] = bulkhead::health_name(info.health);
      if (reasons && info.why.len != 0) entry["why"] = bulkhead::to_view(info.why);
    });
    const bool draining = introspection_.draining();
    const std::string_view status = draining ? "draining" : !ready ? "unavailable" : degraded ? "degraded" : "ready";
    nlohmann::ordered_json body = {{"status", status}, {"service", service_}};
    body["plugins"] = std::move(plugins);
    return bulkhead::json(ready && !draining ? 200 : 503, body.dump(-1, ' ', false, Json::error_handler_t::replace))
        .header("cache-control", "no-store");
  }

  const std::string service_, live_;
  const bulkhead::Introspection introspection_;
};

}  // namespace health

BULKHEAD_PLUGIN(health::Health, "health", "1.0.0", "Liveness, and readiness from the state of every plugin.",
                .schema = health_embedded::schema_json)
