// SHA-256 in hexadecimal, by OpenSSL.
#pragma once

#include <string>
#include <string_view>

namespace cache {

std::string sha256_hex(std::string_view text);

}  // namespace cache
