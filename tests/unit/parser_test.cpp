// The connection's parser, without a connection. Section numbers are of RFC 9112.
#include <gtest/gtest.h>

#include "core/config/model.hpp"
#include "core/exchange/request.hpp"
#include "core/http/http1/parser.hpp"

using namespace bulkhead;
using exchange::Request;
using http::http1::RequestParser;

namespace {

struct Parsed {
  RequestParser::Result result;
  int status;
  size_t consumed;
  std::string method, path, query, authority;
  bool chunked, keep_alive;
  size_t fields;
};

// Gives the bytes in pieces of `step`, as a slow client does.
Parsed parse(const std::string& bytes, size_t step = SIZE_MAX) {
  static const http::Limits limits = config::defaults().http.limits;
  Request request;
  RequestParser parser(limits);
  std::string copy = bytes;
  size_t consumed = 0;
  RequestParser::Result result = RequestParser::Result::kMore;
  for (size_t n = 0; result == RequestParser::Result::kMore && n < copy.size();) {
    n = step > copy.size() - n ? copy.size() : n + step;
    result = parser.parse_head(copy.data(), n, request, &consumed);
  }
  return {result,
          result == RequestParser::Result::kError ? parser.status() : 0,
          consumed,
          std::string(to_view(request.method)),
          std::string(to_view(request.path)),
          std::string(to_view(request.query)),
          std::string(to_view(request.authority)),
          parser.chunked(),
          parser.keep_alive(),
          request.fields.size()};
}

int status_of(const std::string& bytes) {
  const Parsed whole = parse(bytes);
  const Parsed slow = parse(bytes, 1);
  EXPECT_EQ(whole.status, slow.status) << bytes;
  EXPECT_EQ(whole.result, slow.result) << bytes;
  return whole.status;
}

}  // namespace

TEST(Parser, ReadsAHead) {
  const std::string head = "GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\nAccept:  y \r\n\r\n";
  for (size_t step = 1; step <= head.size(); ++step) {
    const Parsed p = parse(head + "rest", step);
    ASSERT_EQ(p.result, RequestParser::Result::kDone);
    EXPECT_EQ(p.consumed, head.size());
    EXPECT_EQ(p.path, "/a b");
    EXPECT_EQ(p.query, "c=d");
    EXPECT_EQ(p.authority, "x");
    EXPECT_TRUE(p.keep_alive);
  }
}

TEST(Parser, S2_2_EmptyLinesBeforeAMessage) {
  EXPECT_EQ(RequestParser::empty_lines("\r\n\r\n\rG"), 4u);
  EXPECT_EQ(RequestParser::empty_lines("G\r\n"), 0u);
  EXPECT_EQ(status_of("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), 400) << "they are no part of it";
}

TEST(Parser, S3_RequestLine) {
  for (const char* bad :
       {"GET /\r\n\r\n", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", " GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "G@T / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / http/1.1\r\nHost: x\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\nHost: x\n\n"})
    EXPECT_EQ(status_of(bad), 400) << bad;
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"), 414);
}

TEST(Parser, S2_2_EveryLineEndsWithCrLf) {
  for (const char* bad : {"\n\n\n\r\n\r\n", "GET / HTTP/1.1\r\n\n\r\n", "GET / HTTP/1.1\r\nA: b\n\r\n\r\n",
                          "GET / HTTP/1.1\r\nA: b\r\r\n\r\n", "GET / HTTP/1.1\r\n\rA: b\r\n\r\n"})
    EXPECT_EQ(status_of(bad), 400) << bad;
}

TEST(Parser, S3_2_Host) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 0);
  EXPECT_EQ(parse("GET http://real/x HTTP/1.1\r\nHost: other\r\n\r\n").authority, "real") << "3.2.2: the target wins";
}

TEST(Parser, S5_Fields) {
  for (const char* bad : {"Host : x\r\n", "Host: x\r\n folded: y\r\n", "Host: x\r\nA\r\n", "Host: x\r\n: y\r\n",
                          "Host: x\r\nA: \x01\r\n", "Host: x\r\nA: b\rc\r\n", "Host: x\r\nA b: c\r\n"})
    EXPECT_EQ(status_of(std::string("GET / HTTP/1.1\r\n") + bad + "\r\n"), 400) << bad;
  EXPECT_EQ(status_of(std::string("GET / HTTP/1.1\r\nHost: x\r\nA: b") + '\0' + "\r\n\r\n"), 400);
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 101; ++i) many += "a: b\r\n";
  EXPECT_EQ(status_of(many + "\r\n"), 431);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(33000, 'a') + "\r\n\r\n"), 431);
}

TEST(Parser, S6_Framing) {
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\n";
  for (const char* bad : {"Content-Length: 3\r\nContent-Length: 3\r\n", "Content-Length: 3\r\nContent-Length: 4\r\n",
                          "Content-Length: 3, 3\r\n", "Content-Length: -1\r\n", "Content-Length: +1\r\n",
                          "Content-Length: abc\r\n", "Content-Length: \r\n", "Content-Length: 99999999999999999999\r\n",
                          "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"})
    EXPECT_EQ(status_of(head + bad + "\r\n"), 400) << bad;
  for (const char* coding : {"gzip", "xchunked", "chunked, gzip", "gzip, chunked", "chunked, chunked", "chunked;q=1"})
    EXPECT_GE(status_of(head + "Transfer-Encoding: " + coding + "\r\n\r\n"), 400) << coding;
  EXPECT_GE(status_of(head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_TRUE(parse(head + "Transfer-Encoding: Chunked\r\n\r\n").chunked);
}

TEST(Parser, S9_KeepAlive) {
  EXPECT_TRUE(parse("GET / HTTP/1.1\r\nHost: x\r\n\r\n").keep_alive);
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n").keep_alive);
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\n\r\n").keep_alive);
  EXPECT_TRUE(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
}

namespace {

struct Chunked {
  RequestParser::Result result;
  std::string body;
  size_t consumed;
  int status;
};

Chunked parse_chunks(const std::string& data, size_t step, size_t limit = 1000) {
  static const http::Limits limits = config::defaults().http.limits;
  Request request;
  RequestParser parser(limits);
  std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  size_t used = 0;
  EXPECT_EQ(parser.parse_head(head.data(), head.size(), request, &used), RequestParser::Result::kDone);
  Chunked out{RequestParser::Result::kMore, "", 0, 0};
  for (size_t n = 0; out.result == RequestParser::Result::kMore && n < data.size();) {
    n = step > data.size() - n ? data.size() : n + step;
    size_t more = 0;
    out.result = parser.parse_chunked(data.data() + out.consumed, n - out.consumed, limit, &out.body, &more);
    out.consumed += more;
  }
  if (out.result == RequestParser::Result::kError) out.status = parser.status();
  return out;
}

}  // namespace

TEST(Parser, S7_1_ChunksSplitAtEveryByte) {
  const std::string data = "4\r\nWiki\r\n6;ext=\"a\"\r\npedia \r\nB\r\nin\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\n";
  for (size_t step = 1; step <= data.size(); ++step) {
    const Chunked out = parse_chunks(data + "GET", step);
    ASSERT_EQ(out.result, RequestParser::Result::kDone) << step;
    EXPECT_EQ(out.body, "Wikipedia in\r\nchunks.");
    EXPECT_EQ(out.consumed, data.size()) << "what follows is the next request's";
  }
}

TEST(Parser, S7_1_BadChunks) {
  for (const char* bad : {"x\r\n", "-1\r\n", "4\r\nWikiXX\r\n0\r\n\r\n", "4 \r\nWiki\r\n0\r\n\r\n",
                          "10000000000000000\r\n", "4\nWiki\r\n0\r\n\r\n"})
    for (const size_t step : {size_t{1}, SIZE_MAX})
      EXPECT_EQ(parse_chunks(bad, step).result, RequestParser::Result::kError) << bad << " in steps of " << step;
}

TEST(Parser, ChunkedBodyOfTheLimitAndOneMore) {
  EXPECT_EQ(parse_chunks("3e8\r\n" + std::string(1000, 'x') + "\r\n0\r\n\r\n", 100).result,
            RequestParser::Result::kDone);
  EXPECT_EQ(parse_chunks("3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n", 100).status, 413);
}
