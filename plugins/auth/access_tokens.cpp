#include "access_tokens.hpp"

#include <algorithm>
#include <coroutine>

namespace auth {

using bulkhead::Request;

namespace {

// Waits for the next fetch of an issuer's keys, and goes on on its thread. False where too many
// wait.
class NextFetch {
 public:
  explicit NextFetch(Issuer& issuer) : issuer_(issuer) {}
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiting) {
    if (!waiting.promise().live()) throw bulkhead::Gone();
    // Once it is accepted this object may be gone.
    if (issuer_.when_fetched([waiting] { waiting.resume(); })) return true;
    refused_ = true;
    return false;
  }
  bool await_resume() const { return !refused_; }

 private:
  Issuer& issuer_;
  bool refused_ = false;
};

}  // namespace

AccessTokens::AccessTokens(const bulkhead::Host& host, const Settings& settings, std::function<void()> changed)
    : host_(host), verified_(settings.cached_tokens), changed_(std::move(changed)) {
  for (const IssuerSettings& issuer : settings.issuers) issuers_.push_back(std::make_unique<Issuer>(issuer));
}

void AccessTokens::start() {
  for (const auto& issuer : issuers_)
    issuer->start([this](const Issuer& which, const std::string& error, const std::vector<std::string>& refused) {
      fetched(which, error);
      for (const std::string& key : refused)
        host_.warn("a key of the issuer is too weak", {{"issuer", which.settings().rules.issuer}, {"reason", key}});
    });
}

void AccessTokens::stop() {
  for (const auto& issuer : issuers_) issuer->stop();
}

std::string AccessTokens::trouble() const {
  for (const auto& issuer : issuers_)
    if (!issuer->keys())
      return "no token of " + issuer->settings().rules.issuer +
             " can be checked: " + (issuer->error().empty() ? "its keys are being fetched" : issuer->error());
  return {};
}

std::optional<Outcome> AccessTokens::known(std::string_view token) {
  if (Verified found = verified_.find(sha256(token)); found.identity && found.issuer->keys() == found.keys)
    return Outcome{Verdict::kGood, std::move(found.identity), {}};
  Look look = look_at(token);
  if (look.lacks_key != nullptr) return std::nullopt;
  return std::move(look.outcome);
}

// The issuer may have a new key: one fetch for all waiting requests, none of which holds a thread.
bulkhead::Task<Outcome> AccessTokens::ask(Request /*request*/, std::string_view token) {
  const Look first = look_at(token);
  if (first.lacks_key == nullptr) co_return first.outcome;
  NextFetch next(*first.lacks_key);
  if (!co_await next)
    co_return Outcome{Verdict::kUnavailable, nullptr, "Too many tokens wait for their issuer's keys. Try again."};
  co_return look_at(token).outcome;
}

AccessTokens::Look AccessTokens::look_at(std::string_view text) {
  Token token;
  if (const std::string wrong = read_token(text, &token); !wrong.empty())
    return {{Verdict::kMalformed, nullptr, "The access token cannot be used: " + wrong + "."}};
  const auto found = std::find_if(issuers_.begin(), issuers_.end(),
                                  [&](const auto& each) { return each->settings().rules.issuer == token.issuer; });
  if (found == issuers_.end())
    return {{Verdict::kUnknown, nullptr, "The access token is of an issuer that is not trusted here."}};
  const auto& allowed = (*found)->settings().algorithms;
  if (std::find(allowed.begin(), allowed.end(), token.algorithm) == allowed.end())
    return {{Verdict::kInvalid, nullptr,
             "The access token is signed with an algorithm that is not taken from its issuer."}};
  return verify_with(token, sha256(text), **found);
}

AccessTokens::Look AccessTokens::verify_with(const Token& token, const Digest256& digest, Issuer& issuer) {
  const std::shared_ptr<const Keys> keys = issuer.keys();
  const Jwk* key = keys ? Issuer::find(*keys, token) : nullptr;
  if (!keys)
    return {{Verdict::kUnavailable, nullptr, "The keys of the token's issuer are not available. Try again."}, &issuer};
  if (key == nullptr)
    return {{Verdict::kUnknown, nullptr, "The access token is signed with a key that its issuer does not have."},
            &issuer};
  if (!verify(*key, token.signed_text, token.signature))
    return {{Verdict::kInvalid, nullptr, "The signature of the access token is wrong."}};
  auto identity = std::make_shared<Identity>();
  Outcome outcome;
  const std::string wrong =
      check_claims(token.claims, issuer.settings().rules, wall_ms() / 1000, identity.get(), &outcome.verdict);
  if (!wrong.empty()) {
    outcome.why = "The access token is not valid here: " + wrong + ".";
    return {outcome};
  }
  outcome.identity = std::move(identity);
  verified_.put(digest, {outcome.identity, &issuer, keys});
  return {outcome};
}

void AccessTokens::fetched(const Issuer& issuer, const std::string& error) {
  changed_();
  const std::string& name = issuer.settings().rules.issuer;
  const std::lock_guard lock(mutex_);
  const auto known = fetch_errors_.find(name);
  if (known != fetch_errors_.end() && known->second == error) return;
  fetch_errors_[name] = error;
  if (error.empty())
    host_.info("keys of an issuer fetched", {{"issuer", name}, {"keys", std::to_string(issuer.keys()->size())}});
  else
    host_.warn(issuer.keys() ? "keys of an issuer cannot be fetched; known keys stay valid"
                             : "keys of an issuer cannot be fetched, and none is known yet",
               {{"issuer", name}, {"error", error}});
}

}  // namespace auth
