// The auth plugin: identifies callers by API key, by access token of an OpenID provider, or by
// client certificate.
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <string>

#include "auth_config.hpp"
#include "auth_embedded.hpp"
#include "authenticator.hpp"
#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.hpp"
#include "key_admin.hpp"
#include "key_command.hpp"
#include "key_store.hpp"
#include "settings.hpp"

namespace auth {

using bulkhead::Failure;
using bulkhead::Json;
using bulkhead::Request;
using bulkhead::Response;
using bulkhead::SqlResult;

namespace {

constexpr std::string_view kScope = "keys:admin";
constexpr std::chrono::seconds kPatience{30};
Json without_peppers(Json config) {
  config["keys"].erase("pepper");
  config["keys"].erase("previous_peppers");
  return config;
}

}  // namespace

class Auth : public bulkhead::Plugin {
 public:
  Auth(bulkhead::Host h, const Json& config)
      : Plugin(h),
        config_(without_peppers(config)),
        settings_(read_settings(config)),
        authenticator_(h, settings_, [this] { tell_health(); }) {
    hook(BH_AUTHENTICATE, [this](const Request& request) { return authenticator_.authenticate(request); });
    if (!settings_.keys) return;
    const bulkhead::Operations operation(auth_embedded::operations_json);
    get("/auth/keys", &Auth::admin<&KeyAdmin::list>, operation("list"), {.scope = kScope});
    post("/auth/keys", &Auth::admin<&KeyAdmin::create>, operation("create"), {.scope = kScope, .max_body = 16 * 1024});
    get("/auth/keys/{id}", &Auth::admin<&KeyAdmin::show>, operation("show"), {.scope = kScope});
    del("/auth/keys/{id}", &Auth::admin<&KeyAdmin::revoke>, operation("revoke"), {.scope = kScope});
    post("/auth/keys/{id}/rotate", &Auth::admin<&KeyAdmin::rotate>, operation("rotate"),
         {.scope = kScope, .max_body = 16 * 1024});
    command("keys", kKeysUsage, "API keys: made (and shown once), listed, rotated, revoked.",
            [this](bulkhead::Arguments arguments, const bulkhead::Print& print) { run_keys(arguments, print); });
    if (settings_.peppers->get()->front().empty())
      host().warn(
          "keys.pepper is empty: a thief of the table of keys can test guesses against it; set it from a secret");
  }

  void start() override {
    state_ = settings_.keys ? BH_STARTING : BH_READY;
    tell_health();
    if (!settings_.keys) return authenticator_.start(nullptr);
    store_ = std::make_unique<KeyStore>(host());
    admin_ =
        std::make_unique<KeyAdmin>(*store_, settings_, [this](const std::string& id) { authenticator_.forget(id); });
    store_->migrate([this](const SqlResult& result) {
      if (!result.ok()) why_ = "the schema could not be migrated: " + result.message;
      state_ = result.ok() ? BH_READY : BH_FAILED;
      tell_health();
      migrated_.set_value(result);
    });
    authenticator_.start(store_.get());
  }
  // Peppers may change while it runs.
  void configure(const Json& config) override {
    if (without_peppers(config) != config_) throw Failure(BH_E_RESTART, "only peppers change while it runs");
    settings_.peppers->set(peppers_of(config));
  }
  void quiesce() override {
    authenticator_.stop();
    if (store_) store_->settle();
  }
  void stop() override {
    admin_.reset();
    store_.reset();
  }

 private:
  void tell_health() {
    const std::lock_guard lock(health_);  // the last to look is the last to speak
    switch (state_.load()) {
      case BH_STARTING:
        return host().health(BH_STARTING, "waiting for the database");
      case BH_FAILED:
        return host().health(BH_FAILED, why_);
      default:
        const std::string trouble = authenticator_.trouble();
        host().health(trouble.empty() ? BH_READY : BH_DEGRADED, trouble);
    }
  }

  template <bulkhead::Task<Response> (KeyAdmin::*Method)(Request) const>
  bulkhead::Task<Response> admin(Request request) {
    return (*admin_.*Method)(request);
  }

  void run_keys(bulkhead::Arguments arguments, const bulkhead::Print& print) {
    std::future<SqlResult> migrated = migrated_.get_future();
    if (migrated.wait_for(kPatience) != std::future_status::ready)
      throw Failure(BH_E_UNAVAILABLE, "the database is not available");
    if (const SqlResult result = migrated.get(); !result.ok()) throw Failure(result.status, result.message);
    keys_command(*store_, settings_, {arguments.begin(), arguments.end()}, print);
  }

  std::mutex health_;
  std::atomic<int32_t> state_{BH_STARTING};  // of the table of keys
  std::string why_;                          // of BH_FAILED, written before it
  const Json config_;                        // without secrets
  const Settings settings_;
  Authenticator authenticator_;
  std::promise<SqlResult> migrated_;
  std::unique_ptr<KeyStore> store_;  // its callbacks reach what stands above
  std::unique_ptr<KeyAdmin> admin_;
};

constexpr bh_need kNeeds[] = {bulkhead::service(BH_SQL_ID, BH_SQL_VERSION, true)};
constexpr bh_str kGrants[] = {bulkhead::to_str("service:bh.sql"), bulkhead::to_str("header:authorization"),
                              bulkhead::to_str("phase:authenticate")};

}  // namespace auth

BULKHEAD_PLUGIN(auth::Auth, "auth", "1.0.0", "Who calls: API keys, access tokens, client certificates.",
                .schema = auth_embedded::schema_json, .needs = auth::kNeeds, .grants = auth::kGrants)
