// What a request shows of its caller.
#pragma once

#include <string>
#include <string_view>

#include "bulkhead/plugin.hpp"

namespace auth {

struct Credential {
  enum class Kind : uint8_t { kNone, kKey, kToken, kWrong, kSeveral };
  Kind kind = Kind::kNone;
  std::string_view text;  // lent with the request
  std::string_view why;   // of kWrong and kSeveral
};

// "Authorization: Bearer KEY_OR_TOKEN" (RFC 6750 §2.1) or "X-API-Key: KEY", one of them once. Never
// from the query: it ends up in logs and histories.
Credential credential_of(const bulkhead::Request& request);

}  // namespace auth
