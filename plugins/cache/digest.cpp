#include "digest.hpp"

#include <openssl/evp.h>

#include <array>

#include "bulkhead/plugin.hpp"
#include "bulkhead/text/hex.hpp"

namespace cache {

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), bytes.data(), &size, EVP_sha256(), nullptr) != 1)
    throw bulkhead::Failure(BH_E_INTERNAL, "OpenSSL does not make the digest");
  std::string hex;
  bulkhead::append_hex(std::span(bytes.data(), size), &hex);
  return hex;
}

}  // namespace cache
