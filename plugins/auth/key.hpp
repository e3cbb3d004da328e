// API keys: "bhk_ID_SECRET". The id is no secret and is what people and logs know a key by; the
// secret is 256 random bits in base64url. What is kept is SHA-256 over a pepper and the whole text:
// a random key needs no slow hash.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "token_cache.hpp"

namespace auth {

inline constexpr std::string_view kKeyPrefix = "bhk_";

// A key as it is kept. Times are Unix milliseconds of the database's clock, 0 = never.
struct KeyRecord {
  std::string id, name, hash;  // hash: 64 hexadecimal digits
  std::string scopes, tenant;  // scopes separated by blanks
  std::string created_by;      // a subject, or "command"
  int64_t lifetime_ms = 0;     // as it was wished for; 0 = for ever
  int64_t created_ms = 0, expires_ms = 0, revoked_ms = 0, last_used_ms = 0;
};

// A new key, and its id.
std::string make_key(std::string* id);
// The id of a text that has the form of a key; "" where it has not.
std::string_view key_id(std::string_view text);
Digest256 key_digest(std::string_view pepper, std::string_view text);
std::string digest_text(const Digest256& digest);
// In a time that does not depend on where they differ.
bool same_digest(const Digest256& digest, std::string_view text);

// "people:read audit:read" of a list; throws std::invalid_argument naming what is no scope.
std::string join_scopes(const std::vector<std::string>& scopes);
std::vector<std::string> split_scopes(std::string_view scopes);
// "90d", "12h", "never" -> milliseconds, 0 = never; nothing where it is none.
std::optional<int64_t> parse_lifetime(std::string_view text);
// 2026-11-26T03:24:27.000Z, "" for 0.
std::string time_text(int64_t unix_ms);

}  // namespace auth
