// Public keys of an issuer: JSON Web Key sets (RFC 7517, RFC 7518 §6, RFC 8037 §2).
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace auth {

struct FreePkey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Pkey = std::unique_ptr<EVP_PKEY, FreePkey>;

enum class Algorithm : uint8_t { kRs256, kEs256, kEdDsa };
// "RS256", "ES256", "EdDSA"; false for every other, "none" and HS256 among them.
bool parse_algorithm(std::string_view name, Algorithm* algorithm);
std::string_view algorithm_name(Algorithm algorithm);

struct Jwk {
  std::string kid;      // "" where the set gives none
  Algorithm algorithm;  // the one that this kind of key is good for
  Pkey key;
};

// The keys of a set that may verify signatures here; others (encryption, symmetric, other curves)
// are left out. So are weak ones, and `refused`, if not null, says which and why. Throws
// std::runtime_error where it is no set.
std::vector<Jwk> read_jwks(const nlohmann::json& set, std::vector<std::string>* refused = nullptr);

// Whether `signature`, as JWS has it, is the key's over `text`.
bool verify(const Jwk& key, std::string_view text, std::string_view signature);

}  // namespace auth
