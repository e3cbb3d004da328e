// bulkhead/compress/gzip.hpp - RFC 1952, for plugins that link zlib.
#ifndef BULKHEAD_COMPRESS_GZIP_HPP
#define BULKHEAD_COMPRESS_GZIP_HPP

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

namespace bulkhead {

// Level 1 (fast) to 9 (small). "" where the result would be longer than `most`, or memory is short.
inline std::string gzip(std::string_view text, int level, size_t most = std::numeric_limits<uInt>::max()) {
  constexpr int kGzipWindow = 15 + 16, kMemory = 8;
  z_stream stream{};
  if (text.size() > std::numeric_limits<uInt>::max() ||
      deflateInit2(&stream, level, Z_DEFLATED, kGzipWindow, kMemory, Z_DEFAULT_STRATEGY) != Z_OK)
    return {};
  std::string out(std::min<size_t>(deflateBound(&stream, text.size()), most), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // zlib's old signature; it only reads
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(whole ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

}  // namespace bulkhead

#endif  // BULKHEAD_COMPRESS_GZIP_HPP
