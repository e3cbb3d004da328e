#include "key_admin.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>

#include "bulkhead/text/hex.hpp"
#include "bulkhead/text/json.hpp"
#include "bulkhead/text/nearest.hpp"
#include "bulkhead/text/scopes.hpp"

namespace auth {

using bulkhead::FieldError;
using bulkhead::Json;
using bulkhead::Problem;
using bulkhead::Request;
using bulkhead::Response;
using MaybeKey = KeyStore::MaybeKey;

namespace {

constexpr int64_t kDefaultGraceMs = 3'600'000;

Json json_of(const KeyRecord& key) {
  const auto time = [](int64_t ms) { return ms == 0 ? Json(nullptr) : Json(time_text(ms)); };
  return {{"id", key.id},
          {"name", key.name},
          {"scopes", split_scopes(key.scopes)},
          {"tenant", key.tenant.empty() ? Json(nullptr) : Json(key.tenant)},
          {"createdBy", key.created_by},
          {"createdAt", time(key.created_ms)},
          {"expiresAt", time(key.expires_ms)},
          {"revokedAt", time(key.revoked_ms)},
          {"lastUsedAt", time(key.last_used_ms)}};
}

// Whatever is shown here is for one pair of eyes.
Response shown(int status, const Json& body) {
  return bulkhead::json(status, body).header("cache-control", "no-store");
}

Response shown_once(int status, const KeyRecord& record, const std::string& key) {
  Json body = json_of(record);
  body["key"] = key;
  return shown(status, body).header("location", "/auth/keys/" + record.id);
}

// A key in memory, wiped when it goes.
struct Secret {
  explicit Secret(std::string key) : text(std::move(key)) {}
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { OPENSSL_cleanse(text.data(), text.size()); }

  std::string text;
};

// Whatever becomes of a change to a key: this host asks again for it.
struct Forgotten {
  const KeyAdmin::Forget& forget;
  const std::string& id;
  Forgotten(const KeyAdmin::Forget& f, const std::string& key_id) : forget(f), id(key_id) {}
  Forgotten(const Forgotten&) = delete;
  Forgotten& operator=(const Forgotten&) = delete;
  ~Forgotten() { forget(id); }
};

Problem no_key(std::string_view id) { return {404, "There is no key " + std::string(id) + "."}; }

std::string id_of(const Request& request) {
  std::string id(request.param("id"));
  if (id.size() != 16 || id.find_first_not_of(bulkhead::kHexDigits) != std::string::npos)
    throw Problem(400, "'" + id + "' is not a key id: the id is the 16 digits after bhk_.");
  return id;
}

// Members that are not among `names` are listed as errors.
Json body_of(const Request& request, std::span<const std::string_view> names, std::vector<FieldError>* errors) {
  if (request.body().empty()) return Json::object();
  bulkhead::JsonDocument body;
  try {
    body = bulkhead::parse_json(request.body(), {.depth = 4, .values = 200, .members = names});
  } catch (const bulkhead::JsonError& error) {
    throw Problem(400, "The body is not a JSON object in UTF-8: " + error.message + ".");
  }
  if (!body.value.is_object()) throw Problem(400, "The body is not a JSON object in UTF-8.");
  const std::vector<std::string> known(names.begin(), names.end());
  for (const std::string& name : body.unknown) {
    const std::string near = bulkhead::nearest(name, known);
    errors->push_back({"/" + bulkhead::json_pointer_token(name),
                       near.empty() ? "is not known" : "is not known; did you mean '" + near + "'?"});
  }
  if (const size_t more = body.unknown_count - body.unknown.size(); more != 0)
    errors->push_back({"", "and " + std::to_string(more) + " more"});
  return std::move(body.value);
}

int64_t lifetime_in(const Json& body, const char* name, int64_t absent, std::vector<FieldError>* errors) {
  if (!body.contains(name)) return absent;
  const Json& value = body.at(name);
  const auto parsed = value.is_string() ? parse_lifetime(value.get_ref<const std::string&>()) : std::nullopt;
  if (!parsed) errors->push_back({std::string("/") + name, "must be a time like 90d, 12h, 30m or never"});
  return parsed.value_or(absent);
}

KeyWish wish_of(const Request& request) {
  static constexpr std::array<std::string_view, 4> kNames = {"name", "scopes", "tenant", "expiresIn"};
  std::vector<FieldError> errors;
  const Json body = body_of(request, kNames, &errors);
  KeyWish wish;
  const auto text = [&](const char* name, bool required, size_t most) -> std::string {
    if (!body.contains(name) && !required) return {};
    const bool good = body.contains(name) && body.at(name).is_string();
    std::string value = good ? body.at(name).get<std::string>() : std::string();
    if (!good || value.size() > most || (required && value.empty()) || value.find('\0') != std::string::npos)
      errors.push_back({std::string("/") + name, "must be a text of 1 to " + std::to_string(most) + " bytes"});
    return value;
  };
  wish.name = text("name", true, 100);
  wish.tenant = text("tenant", false, 100);
  wish.lifetime_ms = lifetime_in(body, "expiresIn", 0, &errors);
  try {
    const Json scopes = body.value("scopes", Json());
    if (!scopes.is_array() || scopes.empty() || scopes.size() > 64)
      throw std::invalid_argument("must be a list of scopes, as [\"people:read\"]");
    wish.scopes = join_scopes(scopes.get<std::vector<std::string>>());
  } catch (const std::invalid_argument& wrong) {
    errors.push_back({"/scopes", wrong.what()});
  } catch (const Json::exception&) {
    errors.push_back({"/scopes", "must be a list of texts"});
  }
  if (!errors.empty()) throw Problem(422, "The key cannot be made so.", std::move(errors));
  return wish;
}

// A caller grants only scopes of its own; else every key administrator could have all.
void require_own(const Request& request, std::string_view scopes) {
  const std::string_view subject = request.attribute(BH_IDENTITY_SUBJECT), own = request.attribute(BH_IDENTITY_SCOPES);
  if (subject.empty()) return;  // server.scopes is ignore: callers are not identified
  for (const std::string& scope : split_scopes(scopes))
    if (!bulkhead::has_scope(own, scope))
      throw Problem(403, "You do not have the scope '" + scope + "' yourself, so you cannot give it.");
}

// A caller that belongs to a tenant sees and makes keys of that tenant alone.
bool visible(const Request& request, const KeyRecord& key) {
  const std::string_view tenant = request.attribute(BH_IDENTITY_TENANT);
  return tenant.empty() || tenant == key.tenant;
}

std::string who(const Request& request) {
  const std::string_view subject = request.attribute(BH_IDENTITY_SUBJECT);
  return std::string(subject.empty() ? "anonymous" : subject);
}

}  // namespace

void KeyAdmin::check_lifetime(int64_t lifetime_ms) const {
  if (settings_.allowed_lifetime(lifetime_ms) != lifetime_ms)
    throw Problem(422, "The key cannot be made so.",
                  {{"/expiresIn", "must be at most " + std::to_string(settings_.max_lifetime_ms / 86'400'000) + "d"}});
}

bulkhead::Task<Response> KeyAdmin::create(Request request) const {
  KeyWish wish = wish_of(request);
  check_lifetime(wish.lifetime_ms);
  require_own(request, wish.scopes);
  if (const std::string_view tenant = request.attribute(BH_IDENTITY_TENANT); !tenant.empty()) {
    if (!wish.tenant.empty() && wish.tenant != tenant)
      throw Problem(403, "The key would belong to another tenant than yours.");
    wish.tenant = tenant;
  }
  KeyRecord record;
  const Secret key(make_key(&record.id));
  record.name = wish.name;
  record.scopes = wish.scopes;
  record.tenant = wish.tenant;
  record.hash = digest_text(key_digest(settings_.peppers->writing(), key.text));
  record.created_by = who(request);
  record.lifetime_ms = wish.lifetime_ms;
  auto add = store_.add(record, request.handle());
  const MaybeKey made = co_await add;
  co_return shown_once(201, made.value(), key.text);
}

bulkhead::Task<Response> KeyAdmin::list(Request request) const {
  auto all = store_.list(request.handle());
  const std::vector<KeyRecord> keys = co_await all;
  Json list = Json::array();
  for (const KeyRecord& each : keys)
    if (visible(request, each)) list.push_back(json_of(each));
  co_return shown(200, list);
}

bulkhead::Task<KeyRecord> KeyAdmin::key_of(Request request) const {
  const std::string id = id_of(request);
  auto find = store_.find(id, request.handle());
  const MaybeKey key = co_await find;
  if (!key || !visible(request, *key)) throw no_key(id);
  co_return *key;
}

bulkhead::Task<Response> KeyAdmin::show(Request request) const {
  auto find = key_of(request);
  const KeyRecord key = co_await find;
  co_return shown(200, json_of(key));
}

bulkhead::Task<Response> KeyAdmin::rotate(Request request) const {
  static constexpr std::array<std::string_view, 1> kNames = {"grace"};
  std::vector<FieldError> errors;
  const Json body = body_of(request, kNames, &errors);
  const int64_t grace = lifetime_in(body, "grace", kDefaultGraceMs, &errors);
  if (grace == 0) errors.push_back({"/grace", "must be a duration like 1h: the old key has to expire"});
  if (!errors.empty()) throw Problem(422, "The key cannot be rotated with these values.", std::move(errors));
  auto find = key_of(request);
  const KeyRecord old = co_await find;
  require_own(request, old.scopes);
  KeyRecord wish;
  const Secret key(make_key(&wish.id));
  wish.hash = digest_text(key_digest(settings_.peppers->writing(), key.text));
  wish.created_by = who(request);
  wish.lifetime_ms = settings_.allowed_lifetime(old.lifetime_ms);
  const Forgotten forgotten{forget_, old.id};
  auto rotate = store_.rotate(old, wish, grace, request.handle());
  const MaybeKey made = co_await rotate;
  if (!made) throw Problem(409, "The key " + old.id + " has ended and cannot be rotated. Create a new one.");
  co_return shown_once(201, *made, key.text);
}

bulkhead::Task<Response> KeyAdmin::revoke(Request request) const {
  auto find = key_of(request);
  const KeyRecord key = co_await find;
  const Forgotten forgotten{forget_, key.id};
  auto revoke = store_.revoke(key.id, request.handle());
  co_await revoke;
  co_return Response(204);
}

}  // namespace auth
