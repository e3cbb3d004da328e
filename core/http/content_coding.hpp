// Content codings of request bodies (RFC 9110 §8.4): gzip (RFC 1952), br (RFC 7932), zstd (RFC
// 8878).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::http {

enum class ContentCoding : uint8_t { kIdentity, kGzip, kBrotli, kZstd, kUnknown };

// For Accept-Encoding of a 415 (RFC 9110 §12.5.3).
inline constexpr std::string_view kAcceptedCodings = "gzip, br, zstd";

// The one coding that a Content-Encoding list names. More than one is kUnknown: no client needs
// two.
ContentCoding content_coding(std::string_view list);

enum class Decoded : uint8_t { kDone, kMalformed, kTooLarge };

// Appends the decoded body to `out`, at most `limit` bytes. kMalformed where the data is damaged,
// ends early or is followed by other bytes. Allocates at most the coding's window (16 MiB at most)
// beside the result.
Decoded decode(ContentCoding coding, std::string_view body, size_t limit, std::string* out);

}  // namespace bulkhead::http
