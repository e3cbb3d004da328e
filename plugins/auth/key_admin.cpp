#include "key_admin.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>

#include "bulkhead/json_text.hpp"
#include "bulkhead/nearest.hpp"

namespace auth {

using bulkhead::Exchange;
using bulkhead::fail;
using bulkhead::FieldError;
using bulkhead::Json;
using bulkhead::Problem;
using bulkhead::Request;
using bulkhead::Response;
using bulkhead::SqlResult;

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

Response shown_once(int status, const KeyRecord& record, std::string key) {
  Json body = json_of(record);
  body["key"] = key;
  OPENSSL_cleanse(key.data(), key.size());
  return shown(status, body).header("location", "/auth/keys/" + record.id);
}

Problem no_key(std::string_view id) { return {404, "There is no key " + std::string(id) + "."}; }

std::string id_of(const Request& request) {
  std::string id(request.param("id"));
  if (id.size() != 16 || id.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw Problem(400, "'" + id + "' is not the id of a key: that is what stands after bhk_, 16 digits.");
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

// Nobody hands out more than they have, or the smallest key administrator would be everybody.
void require_own(const Request& request, std::string_view scopes) {
  const std::string_view subject = request.attribute("identity.subject"), own = request.attribute("identity.scopes");
  if (subject.empty()) return;  // server.scopes is ignore: nobody is asked who they are
  for (const std::string& scope : split_scopes(scopes))
    if (!has_scope(own, scope))
      throw Problem(403, "You do not have the scope '" + scope + "' yourself, so you cannot give it.");
}

// Who belongs to a tenant sees, and makes, keys of that tenant alone.
bool visible(const Request& request, const KeyRecord& key) {
  const std::string_view tenant = request.attribute("identity.tenant");
  return tenant.empty() || tenant == key.tenant;
}

std::string who(const Request& request) {
  const std::string_view subject = request.attribute("identity.subject");
  return std::string(subject.empty() ? "anonymous" : subject);
}

}  // namespace

void KeyAdmin::check_lifetime(int64_t lifetime_ms) const {
  if (settings_.allowed_lifetime(lifetime_ms) != lifetime_ms)
    throw Problem(422, "The key cannot be made so.",
                  {{"/expiresIn", "must be at most " + std::to_string(settings_.max_lifetime_ms / 86'400'000) + "d"}});
}

void KeyAdmin::create(const Request& request, const Exchange& ex) const {
  KeyWish wish = wish_of(request);
  check_lifetime(wish.lifetime_ms);
  require_own(request, wish.scopes);
  if (const std::string_view tenant = request.attribute("identity.tenant"); !tenant.empty()) {
    if (!wish.tenant.empty() && wish.tenant != tenant)
      throw Problem(403, "You belong to another tenant than the key would.");
    wish.tenant = tenant;
  }
  KeyRecord record;
  auto key = std::make_shared<std::string>(make_key(&record.id));
  record.name = wish.name;
  record.scopes = wish.scopes;
  record.tenant = wish.tenant;
  record.hash = digest_text(key_digest(settings_.peppers->writing(), *key));
  record.created_by = who(request);
  record.lifetime_ms = wish.lifetime_ms;
  store_.add(record, ex.handle(), [ex, key](const SqlResult& result, const std::optional<KeyRecord>& made) {
    if (!result.ok() || !made)
      fail(ex, result);
    else
      ex.reply(shown_once(201, *made, *key));
    OPENSSL_cleanse(key->data(), key->size());
  });
}

void KeyAdmin::list(const Request& request, const Exchange& ex) const {
  store_.list(ex.handle(), [ex, request](const SqlResult& result, const std::vector<KeyRecord>& keys) {
    if (!result.ok()) return fail(ex, result);
    Json list = Json::array();
    for (const KeyRecord& each : keys)
      if (visible(request, each)) list.push_back(json_of(each));
    ex.reply(shown(200, list));
  });
}

void KeyAdmin::with_key(const Request& request, const Exchange& ex, std::function<void(const KeyRecord&)> then) const {
  const std::string id = id_of(request);
  store_.find(id, ex.handle(),
              [id, request, ex, then = std::move(then)](const SqlResult& result, const std::optional<KeyRecord>& key) {
                if (!result.ok()) return fail(ex, result);
                try {
                  if (!key || !visible(request, *key)) throw no_key(id);
                  then(*key);
                } catch (const Problem& problem) {
                  ex.reply(bulkhead::problem(problem, request.id()));
                } catch (const bulkhead::Failure& refused) {
                  ex.fail(refused.code, refused.message);
                }
              });
}

void KeyAdmin::show(const Request& request, const Exchange& ex) const {
  with_key(request, ex, [ex](const KeyRecord& key) { ex.reply(shown(200, json_of(key))); });
}

void KeyAdmin::rotate(const Request& request, const Exchange& ex) const {
  static constexpr std::array<std::string_view, 1> kNames = {"grace"};
  std::vector<FieldError> errors;
  const Json body = body_of(request, kNames, &errors);
  const int64_t grace = lifetime_in(body, "grace", kDefaultGraceMs, &errors);
  if (grace == 0) errors.push_back({"/grace", "must be a time like 1h: the old key has to end"});
  if (!errors.empty()) throw Problem(422, "The key cannot be rotated so.", std::move(errors));
  with_key(request, ex, [this, request, ex, grace](const KeyRecord& old) {
    require_own(request, old.scopes);
    KeyRecord wish;
    auto key = std::make_shared<std::string>(make_key(&wish.id));
    wish.hash = digest_text(key_digest(settings_.peppers->writing(), *key));
    wish.created_by = who(request);
    wish.lifetime_ms = settings_.allowed_lifetime(old.lifetime_ms);
    store_.rotate(
        old, wish, grace, ex.handle(),
        [this, id = old.id, request, ex, key](const SqlResult& result, const std::optional<KeyRecord>& made) {
          forget_(id);
          if (!result.ok())
            fail(ex, result);
          else
            ex.reply(made ? shown_once(201, *made, *key)
                          : bulkhead::problem(
                                {409, "The key " + id + " has ended, so there is nothing to rotate. Make a new one."},
                                request.id()));
          OPENSSL_cleanse(key->data(), key->size());
        });
  });
}

void KeyAdmin::revoke(const Request& request, const Exchange& ex) const {
  with_key(request, ex, [this, ex](const KeyRecord& key) {
    store_.revoke(key.id, ex.handle(),
                  [this, id = key.id, ex](const SqlResult& result, const std::optional<KeyRecord>& /*revoked*/) {
                    forget_(id);
                    if (!result.ok()) return fail(ex, result);
                    ex.reply(Response(204));
                  });
  });
}

}  // namespace auth
