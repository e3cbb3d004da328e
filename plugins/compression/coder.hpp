// Content codings: gzip (RFC 1952), br (RFC 7932), zstd (RFC 8878).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace compression {

struct Levels {
  int gzip = 5, br = 4, zstd = 3;
};

// The one of `codings`, best first, that the field Accept-Encoding likes most; "" = as it is (RFC
// 9110 §12.5.3).
std::string_view negotiate(std::string_view accept_encoding, const std::vector<std::string_view>& codings);

// Empty where the coder fails, or nothing is won.
std::string encode(std::string_view coding, std::string_view text, const Levels& levels);

}  // namespace compression
