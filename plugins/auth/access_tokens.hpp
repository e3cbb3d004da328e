// AccessTokens: callers with a JWT of an OpenID provider. Tokens that were verified are remembered.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "issuer.hpp"
#include "settings.hpp"
#include "token_cache.hpp"
#include "verifier.hpp"

namespace auth {

class AccessTokens final : public Verifier {
 public:
  // `changed`: what trouble() says may be another now. [any]
  AccessTokens(const bulkhead::Host& host, const Settings& settings, std::function<void()> changed);

  void start();
  // Requests that wait for an issuer's keys go on without them.
  void stop();
  // "" or why tokens cannot be verified.
  std::string trouble() const;

  std::string_view kind() const override { return "token"; }
  std::optional<Outcome> known(std::string_view token) override;
  bulkhead::Task<Outcome> ask(bulkhead::Request request, std::string_view token) override;

 private:
  // A token that was found good, and with which keys: with others it is looked at again.
  struct Verified {
    IdentityPtr identity;
    const Issuer* issuer = nullptr;
    std::shared_ptr<const Keys> keys;
  };
  // What one look at a token finds.
  struct Look {
    Outcome outcome;
    Issuer* lacks_key = nullptr;  // whose keys have to be fetched before there is an outcome
  };

  Look look_at(std::string_view text);
  Look verify_with(const Token& token, const Digest256& digest, Issuer& issuer);
  void fetched(const Issuer& issuer, const std::string& error);

  const bulkhead::Host host_;
  DigestCache<Verified> verified_;
  const std::function<void()> changed_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::string> fetch_errors_;  // by issuer
  std::vector<std::unique_ptr<Issuer>> issuers_;               // their threads reach what stands above
};

}  // namespace auth
