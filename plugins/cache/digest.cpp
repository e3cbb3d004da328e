#include "digest.hpp"

#include <openssl/evp.h>

#include <array>

#include "bulkhead/plugin.hpp"

namespace cache {

std::string digest_hex(Digest digest, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), bytes.data(), &size, digest == Digest::kSha1 ? EVP_sha1() : EVP_sha256(),
                 nullptr) != 1)
    throw bulkhead::Failure(BH_E_INTERNAL, "OpenSSL does not make the digest");
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[bytes[i] >> 4];
    hex += kDigits[bytes[i] & 15];
  }
  return hex;
}

}  // namespace cache
