// RequestParser: bytes of a connection into a request.
//
// Boost.Beast's basic_parser does the grammar; beside it stands what it lets pass
// and RFC 9112 forbids: obs-fold, bare CR, missing or doubled Host, transfer
// codings other than exactly "chunked", repeated Content-Length, chunked in 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/exchange/request.hpp"
#include "core/http/settings.hpp"

namespace bulkhead::http::http1 {

class RequestParser {
 public:
  enum class Result : uint8_t { kMore, kDone, kError };

  explicit RequestParser(const Limits& limits);
  ~RequestParser();

  // How many bytes before a message are empty lines, which are passed over (RFC 9112 §2.2).
  static size_t empty_lines(std::string_view bytes);

  // Looks for a whole head in [data, data + size), which must be the same bytes as
  // before plus new ones after kMore. On kDone `consumed` is the head's length and
  // the request views `data`. Names are put in lower case in place.
  Result parse_head(char* data, size_t size, exchange::Request& request, size_t* consumed);

  // ---- after kDone
  bool keep_alive() const { return keep_alive_; }
  bool expects_continue() const { return expects_continue_; }
  bool chunked() const { return chunked_; }
  uint64_t content_length() const { return content_length_; }
  // Decodes chunked data; appends to `body`, at most `limit` bytes in all.
  Result parse_chunked(const char* data, size_t size, size_t limit, std::string* body, size_t* consumed);

  // ---- after kError
  int status() const { return status_; }
  std::string_view detail() const { return detail_; }
  // The request line was understood, so hooks may be told of the request.
  bool request_line_parsed() const { return line_parsed_; }

  // Before the next message.
  void reset();

 private:
  class Beast;

  Result error(int status, std::string_view detail);
  Result refuse_head(std::string_view bytes, exchange::Request& request, int status, std::string_view detail);
  Result parse_first_line(std::string_view bytes, exchange::Request& request);
  Result parse_request_line(std::string_view line, exchange::Request& request);
  Result vet_fields(exchange::Request& request);
  Result set_path(exchange::Request& request);

  const Limits& limits_;
  std::unique_ptr<Beast> beast_;
  // Offsets from the message's first byte: the current line, what is behind the request line, and
  // how far the current line was looked at.
  size_t line_begin_ = 0, first_line_end_ = 0, scanned_ = 0;
  size_t framing_ = 0;  // bytes of a chunked body, data included
  bool line_parsed_ = false, chunked_ = false, keep_alive_ = false, expects_continue_ = false;
  uint64_t content_length_ = 0;
  int status_ = 0;
  std::string detail_;
};

}  // namespace bulkhead::http::http1
