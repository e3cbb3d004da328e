#include "core/http/http1/parser.hpp"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <cstring>
#include <optional>
#include <utility>

#include "bulkhead/attributes.h"
#include "bulkhead/text/ascii.hpp"
#include "bulkhead/text/words.hpp"
#include "core/http/http1/target.hpp"

namespace bulkhead::http::http1 {

namespace beast = boost::beast;
using exchange::Request;

namespace {

// Chunks of one byte are legal, and five bytes of framing each.
constexpr size_t kFramingPerByte = 8;

std::string_view sv(beast::string_view s) { return {s.data(), s.size()}; }

// RFC 9112 §7.1.1. Beast lets a quoted value hold anything, a line end included; and white space
// that is only tolerated ("5 ;a = b") is where parsers part company.
bool sound_extension(std::string_view text) {
  bool quoted = false, escaped = false;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return false;
    if (!quoted && (c == ' ' || c == '\t')) return false;
    if (c == '"' && !escaped) quoted = !quoted;
    escaped = quoted && c == '\\' && !escaped;
  }
  return true;
}

// What frames a message is read by all alike, or by none: a tab here is legal, and refused by
// llhttp. In the buffer a field's value is followed by white space and its line's end.
bool tab_behind(std::string_view value) {
  const char* at = value.data() + value.size();
  while (*at == ' ') ++at;
  return *at == '\t';
}

template <typename Each>
void for_list(std::string_view list, Each each) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    each(item);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

// The grammar, and the only code that knows Beast.
class RequestParser::Beast {
 public:
  explicit Beast(size_t max_fields) : max_fields_(max_fields) {}
  void begin(Request* request) {
    parser_.emplace(*this);
    parser_->header_limit(UINT32_MAX);
    parser_->body_limit(UINT64_MAX);  // limits are the connection's
    request_ = request;
    body_ = nullptr;
    head_done_ = false;
  }
  beast::error_code put(const char* data, size_t size, size_t* used) {
    beast::error_code ec;
    *used = parser_->put(boost::asio::const_buffer(data, size), ec);
    return ec;
  }
  bool head_done() const { return parser_->is_header_done(); }
  bool done() const { return parser_->is_done(); }
  void chunks_into(std::string* body, size_t limit) {
    body_ = body;
    limit_ = limit;
    head_done_ = true;
  }

 private:
  class Parser : public beast::http::basic_parser<true> {
   public:
    explicit Parser(Beast& owner) : owner_(owner) {}

   protected:
    using Ec = beast::error_code;
    using Length = boost::optional<std::uint64_t>;
    void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int, Ec&) override {}
    void on_response_impl(int, beast::string_view, int, Ec&) override {}
    void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value, Ec& ec) override {
      if (owner_.head_done_) return;  // a trailer
      auto& fields = owner_.request_->fields;
      if (fields.size() == owner_.max_fields_)
        ec = beast::http::error::header_limit;
      else
        fields.push_back({to_str(sv(name)), to_str(sv(value))});
    }
    void on_header_impl(Ec&) override {}
    void on_body_init_impl(const Length&, Ec&) override {}
    std::size_t on_body_impl(beast::string_view body, Ec&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t size, beast::string_view extension, Ec& ec) override {
      if (!sound_extension(sv(extension))) ec = beast::http::error::bad_chunk_extension;
      if (size > owner_.limit_ - owner_.body_->size()) ec = beast::http::error::body_limit;
    }
    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, Ec&) override {
      owner_.body_->append(body.data(), body.size());
      return body.size();
    }
    void on_finish_impl(Ec&) override {}

   private:
    Beast& owner_;
  };

  const size_t max_fields_;
  std::optional<Parser> parser_;
  Request* request_ = nullptr;
  std::string* body_ = nullptr;
  size_t limit_ = 0;
  bool head_done_ = false;
};

RequestParser::RequestParser(const Limits& limits)
    : limits_(limits), beast_(std::make_unique<Beast>(limits.header_fields)) {}
RequestParser::~RequestParser() = default;

void RequestParser::reset() {
  line_begin_ = first_line_end_ = scanned_ = framing_ = 0;
  line_parsed_ = chunked_ = keep_alive_ = expects_continue_ = false;
  content_length_ = 0;
}

size_t RequestParser::empty_lines(std::string_view bytes) {
  size_t n = 0;
  while (bytes.substr(n, 2) == "\r\n") n += 2;
  return n;
}

RequestParser::Result RequestParser::error(int status, std::string_view detail) {
  status_ = status;
  detail_ = detail;
  return Result::kError;
}

RequestParser::Result RequestParser::parse_request_line(std::string_view line, Request& request) {
  const size_t first = line.find(' ');
  if (first == 0 || first == std::string_view::npos)
    return error(400, "The request line is not 'METHOD target HTTP/1.1'.");
  const size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos || second == first + 1)
    return error(400, "The request line is not 'METHOD target HTTP/1.1'.");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, second - first - 1);
  const std::string_view version = line.substr(second + 1);
  for (const char c : method)
    if (!is_tchar(c)) return error(400, "The method is not a token.");
  if (!valid_target_bytes(target))
    return error(400,
                 "The request target has a character that must be percent-encoded: a blank, a control character, "
                 "'\"', '<', '>', or one outside ASCII.");
  if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || version[6] != '.' || version[5] < '0' ||
      version[5] > '9' || version[7] < '0' || version[7] > '9')
    return error(400, "The request line does not end with an HTTP version.");
  if (version[5] != '1') return error(505, "This server supports only HTTP/1.1 and HTTP/1.0.");
  // A higher minor is read as the highest that is known (RFC 9110 §2.5); Beast would refuse it.
  if (version[7] > '1') const_cast<char&>(version[7]) = '1';  // our own slab
  request.method = to_str(method);
  request.target = to_str(target);
  request.http = version[7] == '0' ? 10 : 11;
  return Result::kDone;
}

RequestParser::Result RequestParser::set_path(Request& request) {
  Target target;
  if (!split_target(to_view(request.method), to_view(request.target), &target))
    return error(400, "The request target is neither a path nor an absolute http URI.");
  if (!valid_percent(target.path) || !valid_percent(target.query))
    return error(400, "A '%' in the request target is not followed by two hexadecimal digits, or encodes NUL.");
  request.query = to_str(target.query);
  if (!target.authority.empty()) request.authority = to_str(target.authority);
  if (!valid_authority(target.authority)) return error(400, "The request target names no valid host.");
  if (target.asterisk) target.path = "*";
  request.match_path = target.path;
  if (has_dot_segments(target.path)) {
    char* out = request.allocate(target.path.size() + 1);
    request.match_path = {out, remove_dot_segments(target.path, out)};
  }
  std::string_view path = request.match_path;
  if (path.find('%') != std::string_view::npos) {
    char* out = request.allocate(path.size());
    path = {out, percent_decode(path, out)};
  }
  request.path = to_str(path);
  return Result::kDone;
}

RequestParser::Result RequestParser::vet_fields(Request& request) {
  size_t hosts = 0, lengths = 0, codings = 0;
  // Fields of one value: of two, this host and what stands before or behind it might each believe
  // another.
  bool origin = false, api_key = false, content_type = false, authorization = false;
  const auto second = [](bool* seen) { return std::exchange(*seen, true); };
  bool close = false, keep = false;
  std::string_view coding;
  for (bh_pair& field : request.fields) {
    char* name = const_cast<char*>(field.name.ptr);  // our own slab
    words::lower_into(to_view(field.name), name);
    const std::string_view value = to_view(field.value);
    const std::string_view key = to_view(field.name);
    switch (key.size()) {
      case 4:
        if (key == "host") {
          if (++hosts > 1 || !valid_authority(value)) return error(400, "Exactly one valid Host field is needed.");
          if (to_view(request.authority).empty()) request.authority = field.value;
        }
        break;
      case 6:
        if (key == BH_HEADER_COOKIE) request.has_cookie = true;
        if (key == "expect") {
          if (!iequals(value, "100-continue"))
            return error(417, "The only expectation that can be met is 100-continue.");
          expects_continue_ = request.http >= 11;
        }
        if (key == "origin" && second(&origin)) return error(400, "Origin is given more than once.");
        break;
      case 9:
        if (key == BH_HEADER_API_KEY) {
          if (second(&api_key)) return error(400, "X-API-Key is given more than once.");
          request.has_authorization = true;
        }
        break;
      case 10:
        if (key == "connection")
          for_list(value, [&](std::string_view option) {
            close = close || iequals(option, "close");
            keep = keep || iequals(option, "keep-alive");
          });
        break;
      case 12:
        if (key == "content-type" && second(&content_type)) return error(400, "Content-Type is given more than once.");
        break;
      case 13:
        if (key == BH_HEADER_AUTHORIZATION) {
          if (second(&authorization)) return error(400, "Authorization is given more than once.");
          request.has_authorization = true;
        }
        break;
      case 14:
        if (key == "content-length") {
          ++lengths;
          content_length_ = 0;
          if (value.empty() || value.size() > 18 || tab_behind(value))
            return error(400, "Content-Length is not a number of bytes.");
          for (const char c : value) {
            if (c < '0' || c > '9') return error(400, "Content-Length is not a number of bytes.");
            content_length_ = content_length_ * 10 + static_cast<uint64_t>(c - '0');
          }
        }
        break;
      case 16:
        if (key == "content-encoding") request.body_coded = true;
        break;
      case 17:
        if (key == "transfer-encoding") {
          ++codings;
          coding = value;
        }
        break;
      default:
        break;
    }
  }
  if (hosts == 0 && request.http >= 11) return error(400, "HTTP/1.1 needs a Host field.");
  if (lengths > 1) return error(400, "Content-Length is given more than once.");
  if (codings != 0) {
    if (request.http < 11) return error(400, "HTTP/1.0 has no transfer codings.");
    if (lengths != 0) return error(400, "Transfer-Encoding and Content-Length together.");
    if (codings > 1 || !iequals(coding, "chunked") || tab_behind(coding))
      return error(501, "The only transfer coding understood is exactly 'chunked'.");
    chunked_ = true;
  }
  keep_alive_ = request.http >= 11 ? !close : keep && !close;
  if (to_view(request.method) == "CONNECT") keep_alive_ = false;  // what follows may be a tunnel's bytes
  request.body_complete = !chunked_ && content_length_ == 0;
  request.headers = request.fields.data();
  request.header_count = request.fields.size();
  return Result::kDone;
}

// Where a head cannot be good any more. Of a request line that is understood, hooks are told all
// the same.
RequestParser::Result RequestParser::refuse_head(std::string_view bytes, Request& request, int status,
                                                 std::string_view detail) {
  if (const Result result = parse_first_line(bytes, request); result != Result::kDone) return result;
  return error(status, detail);
}

RequestParser::Result RequestParser::parse_first_line(std::string_view bytes, Request& request) {
  std::string_view line = bytes.substr(0, first_line_end_);
  if (line.size() < 2 || line[line.size() - 2] != '\r') return error(400, "A line does not end with CR LF.");
  line.remove_suffix(2);
  if (const Result result = parse_request_line(line, request); result != Result::kDone) return result;
  if (const Result result = set_path(request); result != Result::kDone) return result;
  line_parsed_ = true;
  return Result::kDone;
}

RequestParser::Result RequestParser::parse_head(char* data, size_t size, Request& request, size_t* consumed) {
  const std::string_view bytes(data, size);

  // Line by line, each looked at once: however the bytes are cut, the same fault is found.
  size_t head_end = 0;
  while (head_end == 0) {
    const size_t end = bytes.find('\n', std::max(line_begin_, scanned_));
    const size_t length = (end == std::string_view::npos ? size : end + 1) - line_begin_;
    const bool first = first_line_end_ == 0;
    if (first && length > limits_.request_line + 2) return error(414, "The request line is longer than the limit.");
    if (!first && line_begin_ + length - first_line_end_ > limits_.header)
      return refuse_head(bytes, request, 431, "The header block is longer than the limit.");
    if (end == std::string_view::npos) {
      scanned_ = size;
      return Result::kMore;
    }
    const std::string_view line = bytes.substr(line_begin_, length - 1);
    if (first) first_line_end_ = end + 1;
    if (line.empty() || line.find('\r') != line.size() - 1)  // neither LF alone (§2.2) nor CR alone
      return refuse_head(bytes, request, 400, "A line does not end with CR LF.");
    if (!first && (line.front() == ' ' || line.front() == '\t'))  // §5.2
      return refuse_head(bytes, request, 400, "A header line is folded.");
    if (line.size() == 1) head_end = end + 1;
    line_begin_ = end + 1;
  }

  if (const Result result = parse_first_line(bytes, request); result != Result::kDone) return result;
  const std::string_view head = bytes.substr(0, head_end);
  if (head.find('\0') != std::string_view::npos) return error(400, "A header line holds NUL.");
  beast_->begin(&request);
  size_t used = 0;
  const beast::error_code ec = beast_->put(head.data(), head.size(), &used);
  if (ec == beast::http::error::header_limit) return error(431, "There are more header fields than the limit.");
  if (ec || !beast_->head_done()) return error(400, "A header field is malformed.");
  if (const Result result = vet_fields(request); result != Result::kDone) return result;
  *consumed = head_end;
  return Result::kDone;
}

RequestParser::Result RequestParser::parse_chunked(const char* data, size_t size, size_t limit, std::string* body,
                                                   size_t* consumed) {
  beast_->chunks_into(body, limit);
  *consumed = 0;
  while (!beast_->done()) {
    size_t used = 0;
    const beast::error_code ec = beast_->put(data + *consumed, size - *consumed, &used);
    *consumed += used;
    framing_ += used;
    // RFC 9112 §7.1.1: chunk headers, extensions and trailers have a limit of their own.
    if (framing_ > limits_.header + body->size() * kFramingPerByte)
      return error(431, "Chunk headers, extensions and trailers are longer than the limit.");
    if (ec == beast::http::error::need_more) return Result::kMore;
    if (ec == beast::http::error::body_limit)
      return error(413, "The body is longer than " + std::to_string(limit) + " bytes.");
    if (ec) return error(400, "The chunked body is malformed.");
    if (used == 0 && !beast_->done()) return Result::kMore;
  }
  return Result::kDone;
}

}  // namespace bulkhead::http::http1
