// Protobuf's wire format (https://protobuf.dev/programming-guides/encoding/): as much as OTLP
// needs.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace tracing {

class ProtobufWriter {
 public:
  void varint(uint32_t field, uint64_t value) {
    tag(field, 0);
    raw(value);
  }
  void fixed64(uint32_t field, uint64_t value) {
    tag(field, 1);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);  // little endian, as this machine
  }
  void fixed32(uint32_t field, uint32_t value) {
    tag(field, 5);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void real(uint32_t field, double value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    fixed64(field, bits);
  }
  void text(uint32_t field, std::string_view value) {
    tag(field, 2);
    raw(value.size());
    bytes_.append(value);
  }
  void bytes(uint32_t field, std::span<const uint8_t> value) {
    text(field, {reinterpret_cast<const char*>(value.data()), value.size()});
  }
  // Its length is known once `body` has written it.
  template <typename Body>
  void message(uint32_t field, Body body) {
    tag(field, 2);
    const size_t begin = bytes_.size();
    body();
    char length[10];
    bytes_.insert(begin, length, encode(bytes_.size() - begin, length));
  }
  std::string take() { return std::move(bytes_); }

 private:
  static size_t encode(uint64_t value, char* out) {
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) out[n++] = static_cast<char>(value | 0x80);
    out[n++] = static_cast<char>(value);
    return n;
  }
  void raw(uint64_t value) {
    char digits[10];
    bytes_.append(digits, encode(value, digits));
  }
  void tag(uint32_t field, uint32_t type) { raw(uint64_t{field} << 3 | type); }

  std::string bytes_;
};

// Reads one message's fields in order; false at its end, or where it is no protobuf.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view bytes) : bytes_(bytes) {}

  bool next() {
    uint64_t key = 0;
    if (!varint(&key) || key >> 3 == 0 || key >> 3 > 0x1fffffff) return false;
    field = static_cast<uint32_t>(key >> 3);
    number = 0;
    text = {};
    switch (key & 7) {
      case 0:
        return varint(&number);
      case 1:
        return skip(8);
      case 2: {
        uint64_t length = 0;
        if (!varint(&length) || length > bytes_.size()) return false;
        text = bytes_.substr(0, static_cast<size_t>(length));
        return skip(static_cast<size_t>(length));
      }
      case 5:
        return skip(4);
      default:
        return false;
    }
  }

  uint32_t field = 0;
  uint64_t number = 0;    // of a varint
  std::string_view text;  // of what has a length

 private:
  bool varint(uint64_t* value) {
    *value = 0;
    for (unsigned shift = 0; shift < 64 && !bytes_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(bytes_.front());
      bytes_.remove_prefix(1);
      *value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool skip(size_t n) {
    if (n > bytes_.size()) return false;
    bytes_.remove_prefix(n);
    return true;
  }

  std::string_view bytes_;
};

}  // namespace tracing
