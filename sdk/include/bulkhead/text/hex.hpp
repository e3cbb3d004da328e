// bulkhead/text/hex.hpp - hexadecimal digits, lower case as trace ids and digests are written.
#ifndef BULKHEAD_TEXT_HEX_HPP
#define BULKHEAD_TEXT_HEX_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead {

inline constexpr std::string_view kHexDigits = "0123456789abcdef";

// Of a digit in either case; -1 where it is none.
constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

inline void append_hex(uint8_t byte, std::string* out) {
  *out += kHexDigits[byte >> 4];
  *out += kHexDigits[byte & 15];
}
inline void append_hex(std::span<const uint8_t> bytes, std::string* out) {
  for (const uint8_t byte : bytes) append_hex(byte, out);
}

// The digits of every byte.
inline constexpr auto kHexPairs = [] {
  std::array<std::array<char, 2>, 256> pairs{};
  for (size_t byte = 0; byte < pairs.size(); ++byte) pairs[byte] = {kHexDigits[byte >> 4], kHexDigits[byte & 15]};
  return pairs;
}();

// Two digits a byte into `out`, which has room for them; a view of them.
inline std::string_view hex(std::span<const uint8_t> bytes, char* out) {
  for (size_t i = 0; i < bytes.size(); ++i) std::memcpy(out + i * 2, kHexPairs[bytes[i]].data(), 2);
  return {out, bytes.size() * 2};
}

// 64 random bits: a name that no other process has. Not a secret.
inline std::string random_hex_id() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 16; ++i) id += kHexDigits[device() % 16];
  return id;
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_HEX_HPP
