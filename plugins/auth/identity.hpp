// Identity: the caller as other plugins see it, in the attributes identity.*.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace auth {

// Immutable once it is shared.
struct Identity {
  std::string subject;     // unique over all kinds: "key:ID", "ISSUER#SUB", "cert:DN", "anonymous"
  std::string_view kind;   // "key", "token", "certificate", "anonymous"
  std::string scopes;      // separated by blanks
  std::string tenant;      // "" = none
  int64_t expires_ms = 0;  // Unix time; 0 = never
};

using IdentityPtr = std::shared_ptr<const Identity>;

// What became of a request's credentials.
enum class Verdict : uint8_t { kGood, kMalformed, kUnknown, kExpired, kRevoked, kInvalid, kUnavailable, kLimited };
inline constexpr size_t kVerdicts = 8;

// Unix time, as tokens and keys have it.
inline int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace auth
