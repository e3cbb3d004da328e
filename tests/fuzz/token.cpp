// Access tokens and sets of keys, as a stranger or an issuer may send them.
#include "fuzz.hpp"
#include "jwk.hpp"
#include "jwt.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auth::Token token;
  if (auth::read_token(text, &token).empty()) {
    fuzz::expect(!token.signature.empty() && token.claims.is_object() && text.starts_with(token.signed_text),
                 "a whole token");
    auth::Identity identity;
    auth::Verdict verdict{};
    const auth::Rules rules{token.issuer, {"a"}, 60, "sub", "", {"scope", "scp", "roles"}, {}};
    const std::string wrong = auth::check_claims(token.claims, rules, 1'000, &identity, &verdict);
    fuzz::expect(wrong.empty() == (verdict == auth::Verdict::kGood), "a verdict that fits");
    if (wrong.empty())
      fuzz::expect(identity.expires_ms > 1'000'000 && !identity.subject.empty(), "somebody, for a while");
  }
  const nlohmann::json set = nlohmann::json::parse(text, nullptr, false);
  if (set.is_object() && set.contains("keys") && set["keys"].is_array())
    for (const auth::Jwk& key : auth::read_jwks(set))
      fuzz::expect(key.key != nullptr && !auth::verify(key, "text", text), "a key, and no signature of it");
  return 0;
}
