// JSON Web Tokens: read (RFC 7515, RFC 7519), and their claims checked (RFC 7519 §4.1, RFC 9068,
// RFC 8725).
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "identity.hpp"
#include "jwk.hpp"

namespace auth {

inline constexpr size_t kMaxToken = 16 * 1024;

// A token as it was sent. Nothing of it is true before its signature is verified.
struct Token {  // NOLINT(bugprone-exception-escape): moving Json is said not to throw, and allocates nothing
  Algorithm algorithm = Algorithm::kRs256;
  std::string kid;  // "" = none
  bool has_kid = false;
  std::string issuer;
  nlohmann::json claims;
  std::string_view signed_text;  // of the text that was read
  std::string signature;
};

// Empty on success, else what is wrong with the text; never a part of it.
std::string read_token(std::string_view text, Token* token);

// What an issuer's tokens must say here, and what they are worth.
struct Rules {
  std::string issuer;
  std::vector<std::string> audiences;
  int64_t leeway_s = 60;
  std::string subject_claim, tenant_claim;                 // tenant: "" = none
  std::vector<std::string> scope_claims;                   // texts with blanks, or arrays
  std::map<std::string, std::vector<std::string>> scopes;  // claim's value -> scopes; empty: as they stand
};

// Of a token whose signature is good. Empty on success, else what is wrong; *verdict says of what
// kind.
std::string check_claims(const nlohmann::json& claims, const Rules& rules, int64_t now_s, Identity* identity,
                         Verdict* verdict);

}  // namespace auth
