#include "core/http/content_coding.hpp"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "bulkhead/text/fields.hpp"

namespace bulkhead::http {

namespace {

constexpr size_t kPiece = 64 * 1024;
constexpr int kGzipWindow = 15 + 16;
constexpr int kZstdWindowLog = 23;  // RFC 9659

// Room for the next piece, one byte past the limit at most, so that a body of just the limit ends
// within it.
size_t grow(std::string* out, size_t used, size_t limit) {
  const size_t room = std::min(kPiece, limit + 1 - used);
  out->resize(used + room);
  return room;
}

Decoded gunzip(std::string_view body, size_t limit, std::string* out) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));  // zlib's old signature; it only reads
  stream.avail_in = static_cast<uInt>(body.size());
  size_t used = 0;
  while (true) {
    const size_t room = grow(out, used, limit);
    stream.next_out = reinterpret_cast<Bytef*>(out->data() + used);
    stream.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream, Z_NO_FLUSH);
    used += room - stream.avail_out;
    if (used > limit) return Decoded::kTooLarge;
    if (status == Z_STREAM_END) {
      if (stream.avail_in == 0) break;
      if (inflateReset(&stream) != Z_OK) return Decoded::kMalformed;  // members may follow each other (RFC 1952 §2.2)
    } else if (status != Z_OK || (stream.avail_in == 0 && stream.avail_out != 0)) {
      return Decoded::kMalformed;
    }
  }
  out->resize(used);
  return Decoded::kDone;
}

Decoded unbrotli(std::string_view body, size_t limit, std::string* out) {
  const std::unique_ptr<BrotliDecoderState, void (*)(BrotliDecoderState*)> state(
      BrotliDecoderCreateInstance(nullptr, nullptr, nullptr), BrotliDecoderDestroyInstance);
  if (!state) throw std::bad_alloc();
  const auto* in = reinterpret_cast<const uint8_t*>(body.data());
  size_t left = body.size(), used = 0;
  BrotliDecoderResult result = BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;
  while (result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT) {
    const size_t room = grow(out, used, limit);
    auto* to = reinterpret_cast<uint8_t*>(out->data() + used);
    size_t free = room;
    result = BrotliDecoderDecompressStream(state.get(), &left, &in, &free, &to, nullptr);
    used += room - free;
    if (used > limit) return Decoded::kTooLarge;
  }
  out->resize(used);
  return result == BROTLI_DECODER_RESULT_SUCCESS && left == 0 ? Decoded::kDone : Decoded::kMalformed;
}

Decoded unzstd(std::string_view body, size_t limit, std::string* out) {
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  if (!context) throw std::bad_alloc();
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindowLog);
  ZSTD_inBuffer in{body.data(), body.size(), 0};
  size_t used = 0, hint = 0;
  bool whole = false;  // the last frame is, and all of it has been given out
  do {
    const size_t room = grow(out, used, limit);
    ZSTD_outBuffer to{out->data() + used, room, 0};
    hint = ZSTD_decompressStream(context.get(), &to, &in);
    if (ZSTD_isError(hint) != 0) return Decoded::kMalformed;
    used += to.pos;
    if (used > limit) return Decoded::kTooLarge;
    whole = hint == 0;
    if (!whole && in.pos == in.size && to.pos < room) break;  // it wants more than there is
  } while (!whole || in.pos < in.size);
  out->resize(used);
  return whole ? Decoded::kDone : Decoded::kMalformed;
}

}  // namespace

ContentCoding content_coding(std::string_view list) {
  ContentCoding found = ContentCoding::kIdentity;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string name = lowered(trim_ows(list.substr(0, comma)));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (name.empty() || name == "identity") continue;
    if (found != ContentCoding::kIdentity) return ContentCoding::kUnknown;
    found = name == "gzip" || name == "x-gzip" ? ContentCoding::kGzip  // RFC 9110 §8.4.1.3
            : name == "br"                     ? ContentCoding::kBrotli
            : name == "zstd"                   ? ContentCoding::kZstd
                                               : ContentCoding::kUnknown;
  }
  return found;
}

Decoded decode(ContentCoding coding, std::string_view body, size_t limit, std::string* out) {
  out->clear();
  limit = std::min(limit, std::numeric_limits<size_t>::max() - 1);  // grow() counts one past it
  switch (coding) {
    case ContentCoding::kGzip:
      return gunzip(body, limit, out);
    case ContentCoding::kBrotli:
      return unbrotli(body, limit, out);
    case ContentCoding::kZstd:
      return unzstd(body, limit, out);
    default:
      return Decoded::kMalformed;
  }
}

}  // namespace bulkhead::http
