#include "settings.hpp"

#include <algorithm>
#include <stdexcept>

#include "key.hpp"

namespace auth {

using auth_config::Config;
using bulkhead::Failure;

namespace {

constexpr int64_t kDayMs = 86'400'000;

std::string scopes_at(const std::vector<std::string>& list, const std::string& pointer) {
  try {
    return join_scopes(list);
  } catch (const std::invalid_argument& wrong) {
    throw Failure(BH_E_CONFIG, pointer + ": " + wrong.what());
  }
}

void check(const std::string& url, const std::string& pointer) {
  if (const std::string wrong = check_url(url); !wrong.empty()) throw Failure(BH_E_CONFIG, pointer + ": " + wrong);
}

IssuerSettings issuer_of(const Config::Issuer& entry, const std::string& pointer) {
  IssuerSettings issuer;
  issuer.rules.issuer = entry.issuer;
  issuer.rules.audiences = entry.audiences;
  issuer.rules.leeway_s = entry.leeway_s;
  issuer.rules.subject_claim = entry.subject_claim;
  issuer.rules.tenant_claim = entry.tenant_claim;
  issuer.rules.scope_claims = entry.scope_claims;
  for (const auto& [value, list] : entry.scopes.items()) {
    std::vector<std::string> scopes = list;
    scopes_at(scopes, std::string(pointer).append("/scopes/").append(value));
    issuer.rules.scopes[value] = std::move(scopes);
  }
  for (const std::string& name : entry.algorithms) {
    Algorithm algorithm{};
    if (parse_algorithm(name, &algorithm)) issuer.algorithms.push_back(algorithm);
  }
  issuer.jwks_url = entry.jwks_url;
  issuer.jwks_origins = entry.jwks_origins;
  issuer.fetch.ca = entry.ca;
  issuer.refresh = std::chrono::seconds(entry.refresh_s);
  issuer.pause = std::chrono::seconds(entry.pause_s);
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

Peppers::List peppers_of(const Config& config) {
  Peppers::List list{config.keys.pepper};
  for (const std::string& pepper : config.keys.previous_peppers) list.push_back(pepper);
  return list;
}

Settings read_settings(const Config& config) {
  Settings settings;
  for (const std::string& text : config.public_routes) {
    const size_t blank = text.find(' ');
    settings.public_routes.push_back(blank == std::string::npos
                                         ? PublicRoute{"", text}
                                         : PublicRoute{text.substr(0, blank), text.substr(blank + 1)});
  }
  const Config::Keys& keys = config.keys;
  settings.keys = keys.enabled;
  settings.peppers = std::make_shared<Peppers>(peppers_of(config), std::chrono::seconds(keys.new_pepper_after_s));
  settings.cached_keys = keys.cached;
  settings.poll_ms = keys.poll_ms;
  settings.stale = std::chrono::seconds(keys.stale_s);
  settings.max_lifetime_ms = keys.max_lifetime_days * kDayMs;
  settings.cached_tokens = config.cached_tokens;
  settings.failures_per_minute = config.failures_per_minute;
  const auto& issuers = config.issuers;
  for (size_t i = 0; i < issuers.size(); ++i) {
    const std::string pointer = "/issuers/" + std::to_string(i);
    IssuerSettings issuer = issuer_of(issuers[i], pointer);
    for (const IssuerSettings& other : settings.issuers)
      if (other.rules.issuer == issuer.rules.issuer)
        throw Failure(BH_E_CONFIG, pointer + "/issuer: is listed twice; give all audiences in one entry");
    settings.issuers.push_back(std::move(issuer));
  }
  const auto& certificates = config.certificates;
  for (size_t i = 0; i < certificates.size(); ++i)
    settings.certificates.push_back(
        {certificates[i].subject, scopes_at(certificates[i].scopes, "/certificates/" + std::to_string(i) + "/scopes"),
         certificates[i].tenant});
  return settings;
}

}  // namespace auth
