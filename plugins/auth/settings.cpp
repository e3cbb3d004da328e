#include "settings.hpp"

#include <algorithm>
#include <stdexcept>

#include "key.hpp"

namespace auth {

using bulkhead::Failure;
using bulkhead::Json;

namespace {

constexpr int64_t kDayMs = 86'400'000;

std::string scopes_at(const Json& list, const std::string& pointer) {
  try {
    return join_scopes(list.get<std::vector<std::string>>());
  } catch (const std::invalid_argument& wrong) {
    throw Failure(BH_E_CONFIG, pointer + ": " + wrong.what());
  }
}

void check(const std::string& url, const std::string& pointer) {
  if (const std::string wrong = check_url(url); !wrong.empty()) throw Failure(BH_E_CONFIG, pointer + ": " + wrong);
}

IssuerSettings issuer_of(const Json& entry, const std::string& pointer) {
  IssuerSettings issuer;
  issuer.rules.issuer = entry.at("issuer");
  issuer.rules.audiences = entry.at("audiences").get<std::vector<std::string>>();
  issuer.rules.leeway_s = entry.at("leeway_s");
  issuer.rules.subject_claim = entry.at("subject_claim");
  issuer.rules.tenant_claim = entry.at("tenant_claim");
  issuer.rules.scope_claims = entry.at("scope_claims").get<std::vector<std::string>>();
  for (const auto& [value, list] : entry.at("scopes").items()) {
    scopes_at(list, std::string(pointer).append("/scopes/").append(value));
    issuer.rules.scopes[value] = list.get<std::vector<std::string>>();
  }
  for (const Json& name : entry.at("algorithms")) {
    Algorithm algorithm{};
    if (parse_algorithm(name.get_ref<const std::string&>(), &algorithm)) issuer.algorithms.push_back(algorithm);
  }
  issuer.jwks_url = entry.at("jwks_url");
  issuer.jwks_origins = entry.at("jwks_origins").get<std::vector<std::string>>();
  issuer.fetch.ca = entry.at("ca");
  issuer.refresh = std::chrono::seconds(entry.at("refresh_s").get<int64_t>());
  issuer.pause = std::chrono::seconds(entry.at("pause_s").get<int64_t>());
  check(issuer.rules.issuer, pointer + "/issuer");
  if (!issuer.jwks_url.empty()) check(issuer.jwks_url, pointer + "/jwks_url");
  for (const std::string& origin : issuer.jwks_origins) check(origin, pointer + "/jwks_origins");
  return issuer;
}

}  // namespace

void Peppers::set(List list) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (list.front() != list_->front()) {
    if (now - since_ >= patience_) before_ = list_->front();
    // Back to what every host has: there is nothing to wait for.
    since_ = list.front() == before_ ? now - patience_ : now;
  }
  for (const std::string& older : *list_)
    if (std::find(list.begin(), list.end(), older) == list.end()) list.push_back(older);
  list_ = std::make_shared<const List>(std::move(list));
}

bool Peppers::settled() const {
  const std::lock_guard lock(mutex_);
  return Clock::now() - since_ >= patience_;
}

std::string Peppers::writing() const {
  const std::lock_guard lock(mutex_);
  return Clock::now() - since_ >= patience_ ? list_->front() : before_;
}

Peppers::List peppers_of(const Json& config) {
  Peppers::List list{config.at("keys").at("pepper")};
  for (const std::string pepper : config.at("keys").at("previous_peppers")) list.push_back(pepper);
  return list;
}

Settings read_settings(const Json& config) {
  Settings settings;
  for (const std::string text : config.at("public_routes")) {
    const size_t blank = text.find(' ');
    settings.public_routes.push_back(blank == std::string::npos
                                         ? PublicRoute{"", text}
                                         : PublicRoute{text.substr(0, blank), text.substr(blank + 1)});
  }
  const Json& keys = config.at("keys");
  settings.keys = keys.at("enabled");
  settings.peppers =
      std::make_shared<Peppers>(peppers_of(config), std::chrono::seconds(keys.at("new_pepper_after_s").get<int64_t>()));
  settings.cached_keys = keys.at("cached");
  settings.poll_ms = keys.at("poll_ms");
  settings.stale = std::chrono::seconds(keys.at("stale_s").get<int64_t>());
  settings.max_lifetime_ms = keys.at("max_lifetime_days").get<int64_t>() * kDayMs;
  settings.cached_tokens = config.at("cached_tokens");
  settings.failures_per_minute = config.at("failures_per_minute");
  const Json& issuers = config.at("issuers");
  for (size_t i = 0; i < issuers.size(); ++i) {
    const std::string pointer = "/issuers/" + std::to_string(i);
    IssuerSettings issuer = issuer_of(issuers[i], pointer);
    for (const IssuerSettings& other : settings.issuers)
      if (other.rules.issuer == issuer.rules.issuer)
        throw Failure(BH_E_CONFIG, pointer + "/issuer: is listed twice; give all audiences in one entry");
    settings.issuers.push_back(std::move(issuer));
  }
  const Json& certificates = config.at("certificates");
  for (size_t i = 0; i < certificates.size(); ++i)
    settings.certificates.push_back(
        {certificates[i].at("subject"),
         scopes_at(certificates[i].at("scopes"), "/certificates/" + std::to_string(i) + "/scopes"),
         certificates[i].at("tenant")});
  return settings;
}

}  // namespace auth
