// bulkhead/hex.hpp - bytes as lower-case hexadecimal digits, as trace ids are written.
#ifndef BULKHEAD_HEX_HPP
#define BULKHEAD_HEX_HPP

#include <cstdint>
#include <span>
#include <string_view>

namespace bulkhead {

// Two digits a byte into `out`, which has room for them; a view of them.
inline std::string_view hex(std::span<const uint8_t> bytes, char* out) {
  char* at = out;
  for (const uint8_t byte : bytes) {
    *at++ = "0123456789abcdef"[byte >> 4];
    *at++ = "0123456789abcdef"[byte & 15];
  }
  return {out, bytes.size() * 2};
}

}  // namespace bulkhead

#endif  // BULKHEAD_HEX_HPP
