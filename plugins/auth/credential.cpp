#include "credential.hpp"

#include "bulkhead/text/fields.hpp"
#include "key.hpp"

namespace auth {

using Kind = Credential::Kind;

Credential credential_of(const bulkhead::Request& request) {
  std::string_view authorization, api_key;
  int count = 0;
  for (const bh_pair& field : request.fields()) {
    const std::string_view name = bulkhead::to_view(field.name);
    if (name != BH_HEADER_AUTHORIZATION && name != BH_HEADER_API_KEY) continue;
    (name == BH_HEADER_AUTHORIZATION ? authorization : api_key) = bulkhead::trim_ows(bulkhead::to_view(field.value));
    ++count;
  }
  if (count == 0) return {};
  if (count > 1) return {Kind::kSeveral, {}, "Send one Authorization or one X-API-Key, not several."};
  if (authorization.empty())
    return key_id(api_key).empty() ? Credential{Kind::kWrong, {}, "X-API-Key is not a key of this service."}
                                   : Credential{Kind::kKey, api_key, {}};
  const size_t blank = authorization.find(' ');
  if (bulkhead::lowered(authorization.substr(0, blank)) != "bearer" || blank == std::string_view::npos)
    return {Kind::kWrong, {}, "Authorization takes the scheme Bearer, followed by an API key or an access token."};
  const std::string_view text = bulkhead::trim_ows(authorization.substr(blank));
  if (text.starts_with(kKeyPrefix))
    return key_id(text).empty() ? Credential{Kind::kWrong, {}, "The API key is incomplete or malformed."}
                                : Credential{Kind::kKey, text, {}};
  return {Kind::kToken, text, {}};
}

}  // namespace auth
