// The health plugin: is the process alive, are its plugins ready.
#include <string>

#include "bulkhead/extensions/introspect.h"
#include "bulkhead/plugin.hpp"
#include "health_embedded.hpp"

namespace health {

using bulkhead::Json;

namespace {

bool has_scope(std::string_view scopes, std::string_view wanted) {
  while (!scopes.empty()) {
    const size_t space = scopes.find(' ');
    if (scopes.substr(0, space) == wanted) return true;
    scopes.remove_prefix(space == std::string_view::npos ? scopes.size() : space + 1);
  }
  return false;
}

}  // namespace

class Health : public bulkhead::Plugin {
 public:
  Health(bulkhead::Host h, const Json& config)
      : Plugin(h),
        service_(config.at("service")),
        live_(nlohmann::ordered_json{{"status", "alive"}, {"service", service_}}.dump()),
        introspect_(h.extension<bh_introspect>(BH_INTROSPECT_ID)) {
    if (introspect_ == nullptr) throw bulkhead::Failure(BH_E_UNSUPPORTED, "the host lacks bh.introspect/1");
    const Json operations = Json::parse(health_embedded::operations_json);
    get("/health/live", &Health::live, operations.at("live").dump());
    get("/health/ready", &Health::ready, operations.at("ready").dump());
  }

 private:
  // The process answers: that is all a liveness probe should ask, or a dead database restarts every host.
  bulkhead::Response live(const bulkhead::Request& /*request*/) {
    return bulkhead::Response(200).type("application/json").lend(live_);
  }

  // Strangers see states. Reasons hold addresses, roles and a driver's words: they are in the log,
  // at /_host/plugins, and here for callers with the scope host:admin.
  bulkhead::Response ready(const bulkhead::Request& request) {
    struct Found {
      nlohmann::ordered_json plugins = nlohmann::ordered_json::object();
      bool ready = true, degraded = false, reasons = false;
    } found;
    found.reasons = has_scope(request.attribute("identity.scopes"), "host:admin");
    introspect_->plugins(
        host().raw(),
        [](void* arg, const bh_plugin_info* info) {
          auto& out = *static_cast<Found*>(arg);
          out.ready = out.ready && (info->health == BH_READY || info->health == BH_DEGRADED);
          out.degraded = out.degraded || info->health == BH_DEGRADED;
          auto& entry = out.plugins[std::string(bulkhead::to_view(info->instance))];
          entry["state"] = bulkhead::health_name(info->health);
          if (out.reasons && info->why.len != 0) entry["why"] = bulkhead::to_view(info->why);
        },
        &found);
    const bool draining = BH_HAS(introspect_, draining) && introspect_->draining(host().raw()) != 0;
    nlohmann::ordered_json body = {{"status", draining         ? "draining"
                                              : !found.ready   ? "unavailable"
                                              : found.degraded ? "degraded"
                                                               : "ready"},
                                   {"service", service_}};
    body["plugins"] = std::move(found.plugins);
    return bulkhead::json(found.ready && !draining ? 200 : 503,
                          body.dump(-1, ' ', false, Json::error_handler_t::replace))
        .header("cache-control", "no-store");
  }

  const std::string service_, live_;
  const bh_introspect* introspect_;
};

}  // namespace health

BULKHEAD_PLUGIN(health::Health, "health", "1.0.0", "Liveness, and readiness from the state of every plugin.",
                .schema = health_embedded::schema_json)
