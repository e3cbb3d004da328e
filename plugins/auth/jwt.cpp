#include "jwt.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "bulkhead/text/base64url.hpp"
#include "bulkhead/text/fields.hpp"
#include "bulkhead/text/json.hpp"

namespace auth {

using Json = nlohmann::json;

namespace {

constexpr double kLastSecond = 1e11;  // beyond the year 5000, and exact in a double

const std::string* text_in(const Json& object, const std::string& name) {
  const auto member = object.find(name);
  return member != object.end() ? member->get_ptr<const std::string*>() : nullptr;
}

bool decode_object(std::string_view part, Json* object) {
  std::string text;
  if (!bulkhead::from_base64url(part, &text)) return false;
  // The claims that count are flat, and few.
  try {
    *object = bulkhead::parse_json(text, {.depth = 16, .values = 1'000}).value;
  } catch (const bulkhead::JsonError&) {
    return false;
  }
  return object->is_object();
}

// A NumericDate (RFC 7519 §2). False where the claim is there and is none.
bool date(const Json& claims, const char* name, bool* there, int64_t* seconds) {
  const auto member = claims.find(name);
  *there = member != claims.end();
  if (!*there) return true;
  if (!member->is_number()) return false;
  const double value = member->get<double>();
  if (!std::isfinite(value) || value < 0 || value > kLastSecond) return false;
  *seconds = static_cast<int64_t>(value);
  return true;
}

bool meant_for(const Json& claims, const std::vector<std::string>& audiences) {
  const auto member = claims.find("aud");
  if (member == claims.end()) return false;
  const auto ours = [&](const Json& value) {
    return value.is_string() &&
           std::find(audiences.begin(), audiences.end(), value.get_ref<const std::string&>()) != audiences.end();
  };
  return member->is_array() ? std::any_of(member->begin(), member->end(), ours) : ours(*member);
}

bool scope_text(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < '\x7f' && c != '"' && c != '\\';  // scope-token (RFC 6749 §3.3)
  });
}

void add_scope(const Rules& rules, std::string_view value, std::set<std::string>* scopes) {
  if (rules.scopes.empty()) {
    if (scope_text(value)) scopes->emplace(value);
    return;
  }
  if (const auto mapped = rules.scopes.find(std::string(value)); mapped != rules.scopes.end())
    scopes->insert(mapped->second.begin(), mapped->second.end());
}

std::string scopes_of(const Json& claims, const Rules& rules) {
  std::set<std::string> scopes;
  for (const std::string& name : rules.scope_claims) {
    const auto member = claims.find(name);
    if (member == claims.end()) continue;
    if (member->is_array()) {
      for (const Json& each : *member)
        if (each.is_string()) add_scope(rules, each.get_ref<const std::string&>(), &scopes);
    } else if (member->is_string()) {
      for (std::string_view list = member->get_ref<const std::string&>(); !list.empty();) {
        const size_t blank = list.find(' ');
        add_scope(rules, list.substr(0, blank), &scopes);
        list.remove_prefix(blank == std::string_view::npos ? list.size() : blank + 1);
      }
    }
  }
  std::string joined;
  for (const std::string& scope : scopes) joined.append(joined.empty() ? "" : " ").append(scope);
  return joined;
}

// Access tokens are "JWT" or "at+jwt" where they say (RFC 9068 §2.1): an ID token's or a logout
// token's type is refused.
bool type_of_access_tokens(const Json& header) {
  if (!header.contains("typ")) return true;
  const std::string* typ = text_in(header, "typ");
  if (typ == nullptr) return false;
  const std::string type = bulkhead::lowered(*typ);
  return type == "jwt" || type == "at+jwt" || type == "application/at+jwt";
}

}  // namespace

std::string read_token(std::string_view text, Token* token) {
  if (text.size() > kMaxToken) return "it is longer than 16 KiB";
  const size_t first = text.find('.'), second = text.find('.', first == std::string_view::npos ? first : first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos)
    return "it is not three parts in base64url with dots between";
  Json header;
  if (!decode_object(text.substr(0, first), &header)) return "its header is not a JSON object in base64url";
  const std::string* algorithm = text_in(header, "alg");
  if (algorithm == nullptr || !parse_algorithm(*algorithm, &token->algorithm))
    return "its algorithm is not RS256, ES256 or EdDSA";
  if (header.contains("crit")) return "it has critical extensions, and none is supported";
  if (!type_of_access_tokens(header)) return "its type is not that of an access token";
  token->has_kid = header.contains("kid");
  if (token->has_kid) {
    const std::string* kid = text_in(header, "kid");
    if (kid == nullptr || kid->empty() || kid->size() > 512) return "its key id is not a text";
    token->kid = *kid;
  }
  if (!decode_object(text.substr(first + 1, second - first - 1), &token->claims))
    return "its claims are not a JSON object in base64url";
  const std::string* issuer = text_in(token->claims, "iss");
  if (issuer == nullptr) return "it names no issuer";
  token->issuer = *issuer;
  token->signed_text = text.substr(0, second);
  if (!bulkhead::from_base64url(text.substr(second + 1), &token->signature) || token->signature.empty())
    return "its signature is not base64url";
  return {};
}

std::string check_claims(const Json& claims, const Rules& rules, int64_t now_s, Identity* identity, Verdict* verdict) {
  *verdict = Verdict::kInvalid;
  bool has_exp = false, has_nbf = false, has_iat = false;
  int64_t exp = 0, nbf = 0, iat = 0;
  if (!date(claims, "exp", &has_exp, &exp) || !date(claims, "nbf", &has_nbf, &nbf) ||
      !date(claims, "iat", &has_iat, &iat))
    return "one of exp, nbf, iat is not a time";
  if (!has_exp) return "it never expires";
  const std::string* issuer = text_in(claims, "iss");
  if (issuer == nullptr || *issuer != rules.issuer) return "it is from another issuer";
  if (!meant_for(claims, rules.audiences)) return "it is meant for another audience";
  if (now_s >= exp + rules.leeway_s) {
    *verdict = Verdict::kExpired;
    return "it has expired";
  }
  if (has_nbf && now_s < nbf - rules.leeway_s) return "it is not valid yet";
  if (has_iat && now_s < iat - rules.leeway_s) return "it was issued in the future";
  const std::string* subject = text_in(claims, rules.subject_claim);
  if (subject == nullptr || subject->empty() || subject->size() > 256) return "it names no subject";
  identity->subject = rules.issuer + "#" + *subject;
  identity->kind = "token";
  identity->scopes = scopes_of(claims, rules);
  if (!rules.tenant_claim.empty()) {
    const std::string* tenant = text_in(claims, rules.tenant_claim);
    if (tenant == nullptr || tenant->empty()) return "it names no tenant";
    identity->tenant = *tenant;
  }
  identity->expires_ms = (exp + rules.leeway_s) * 1000;
  *verdict = Verdict::kGood;
  return {};
}

}  // namespace auth
