// Digests in hexadecimal, by OpenSSL.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cache {

enum class Digest : uint8_t {
  kSha1,  // names a script of Redis
  kSha256
};
std::string digest_hex(Digest digest, std::string_view text);

}  // namespace cache
