#include "coder.hpp"

#include <brotli/encode.h>
#include <zstd.h>

#include <algorithm>

#include "bulkhead/compress/gzip.hpp"
#include "bulkhead/text/fields.hpp"

namespace compression {

namespace {

constexpr int kBrotliWindow = 19;

const uint8_t* bytes(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }
uint8_t* bytes(std::string& text) { return reinterpret_cast<uint8_t*>(text.data()); }

size_t brotli(std::string_view text, int level, std::string* out) {
  size_t size = out->size();
  return BrotliEncoderCompress(level, kBrotliWindow, BROTLI_MODE_TEXT, text.size(), bytes(text), &size, bytes(*out)) ==
                 BROTLI_TRUE
             ? size
             : 0;
}

size_t zstandard(std::string_view text, int level, std::string* out) {
  const size_t size = ZSTD_compress(out->data(), out->size(), text.data(), text.size(), level);
  return ZSTD_isError(size) != 0 ? 0 : size;
}

}  // namespace

std::string_view negotiate(std::string_view accept_encoding, const std::vector<std::string_view>& codings) {
  std::vector<double> qualities(codings.size(), -1);
  double others = 0, identity = -1;
  bool star = false;
  bulkhead::for_each_weighted(accept_encoding, [&](const std::string& coding, double quality) {
    if (coding == "*") {
      star = true;
      others = quality;
    } else if (coding == "identity") {
      identity = quality;
    }
    for (size_t i = 0; i < codings.size(); ++i)
      if (coding == codings[i] || (codings[i] == "gzip" && coding == "x-gzip")) qualities[i] = quality;
  });
  std::string_view best;
  double best_quality = 0;
  for (size_t i = 0; i < codings.size(); ++i) {
    const double quality = qualities[i] >= 0 ? qualities[i] : star ? others : 0;
    if (quality <= best_quality) continue;
    best = codings[i];
    best_quality = quality;
  }
  // Identity wins only where the caller gave it a higher quality than every coding.
  return identity > best_quality ? std::string_view() : best;
}

std::string encode(std::string_view coding, std::string_view text, const Levels& levels) {
  // No larger than what came in: else it is of no use, and the coder gives up.
  if (coding == "gzip") return bulkhead::gzip(text, levels.gzip, text.size());
  std::string out(text.size(), '\0');
  out.resize(coding == "br" ? brotli(text, levels.br, &out) : zstandard(text, levels.zstd, &out));
  return out;
}

}  // namespace compression
