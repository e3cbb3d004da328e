// Callers with an access token.
#include <algorithm>

#include "authenticator.hpp"

namespace auth {

using bulkhead::Exchange;
using bulkhead::Request;

Authenticator::Outcome Authenticator::check_token(const Token& token, const Digest256& digest, const Issuer& issuer,
                                                  bool* unknown_key) {
  *unknown_key = false;
  const std::shared_ptr<const Keys> keys = issuer.keys();
  const Jwk* key = keys ? Issuer::find(*keys, token) : nullptr;
  if (key == nullptr) {
    *unknown_key = true;
    if (!keys)
      return {Verdict::kUnavailable, nullptr, "The keys of the token's issuer cannot be had at the moment. Try again."};
    return {Verdict::kUnknown, nullptr, "The access token is signed with a key that its issuer does not have."};
  }
  if (!verify(*key, token.signed_text, token.signature))
    return {Verdict::kInvalid, nullptr, "The signature of the access token is wrong."};
  auto identity = std::make_shared<Identity>();
  Outcome outcome;
  const std::string wrong =
      check_claims(token.claims, issuer.settings().rules, wall_ms() / 1000, identity.get(), &outcome.verdict);
  if (!wrong.empty()) {
    outcome.why = "The access token is not good here: " + wrong + ".";
    return outcome;
  }
  outcome.identity = std::move(identity);
  tokens_.put(digest, {outcome.identity, &issuer, keys});
  return outcome;
}

bh_flow Authenticator::by_token(const Request& request, std::string_view text) {
  const Digest256 digest = sha256(text);
  if (Verified known = tokens_.find(digest); known.identity && known.issuer->keys() == known.keys)
    return settle(request, {Verdict::kGood, std::move(known.identity), {}}, "token");
  auto token = std::make_shared<Token>();
  if (const std::string wrong = read_token(text, token.get()); !wrong.empty())
    return settle(request, {Verdict::kMalformed, nullptr, "The access token cannot be used: " + wrong + "."}, "token");
  const auto found = std::find_if(issuers_.begin(), issuers_.end(),
                                  [&](const auto& each) { return each->settings().rules.issuer == token->issuer; });
  Issuer* issuer = found == issuers_.end() ? nullptr : found->get();
  if (issuer == nullptr)
    return settle(request, {Verdict::kUnknown, nullptr, "The access token is of an issuer that is not trusted here."},
                  "token");
  const auto& allowed = issuer->settings().algorithms;
  if (std::find(allowed.begin(), allowed.end(), token->algorithm) == allowed.end())
    return settle(
        request,
        {Verdict::kInvalid, nullptr, "The access token is signed with an algorithm that is not taken from its issuer."},
        "token");
  bool unknown_key = false;
  Outcome outcome = check_token(*token, digest, *issuer, &unknown_key);
  if (!unknown_key) return settle(request, outcome, "token");
  // The issuer may have a new key: one fetch for all who ask, and nobody's thread waits for it.
  const Exchange held(host_.raw(), request.handle());
  const bool waits = issuer->when_fetched([this, request, held, token, digest, issuer] {
    try {
      bool unknown = false;
      settle_later(request, held, check_token(*token, digest, *issuer, &unknown), "token");
    } catch (...) {  // out of memory: the exchange is let go of, and answered 500
    }
  });
  if (waits) return BH_PENDING;
  return settle(request, {Verdict::kUnavailable, nullptr, "Too many tokens wait for their issuer's keys. Try again."},
                "token");
}

void Authenticator::fetched(const Issuer& issuer, const std::string& error) {
  changed_();
  const std::string& name = issuer.settings().rules.issuer;
  const std::lock_guard lock(fetch_mutex_);
  const auto known = fetch_errors_.find(name);
  if (known != fetch_errors_.end() && known->second == error) return;
  fetch_errors_[name] = error;
  if (error.empty())
    host_.info("keys of an issuer fetched", {{"issuer", name}, {"keys", std::to_string(issuer.keys()->size())}});
  else
    host_.warn(issuer.keys() ? "keys of an issuer cannot be fetched; those that are known stay good"
                             : "keys of an issuer cannot be fetched; none is known yet",
               {{"issuer", name}, {"error", error}});
}

}  // namespace auth
