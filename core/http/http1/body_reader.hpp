// BodyReader: the body of one request at a time, from the connection's bytes to what steps see.
//
// Held back until a step wants it, so that a refusal costs the caller no upload. Counted (RFC 9112
// §6.2) or in chunks (§7.1), then decoded (RFC 9110 §8.4).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/exchange/request.hpp"
#include "core/http/content_coding.hpp"
#include "core/http/http1/input.hpp"
#include "core/http/http1/parser.hpp"
#include "core/http/server.hpp"

namespace bulkhead::http::http1 {

class BodyReader {
 public:
  enum class Result : uint8_t { kMore, kWhole, kRefused };
  struct Refused {
    int status = 0;
    std::string detail;
    std::string_view field, value;  // one more of the answer
  };

  BodyReader(Server& server, RequestParser& parser, Input& input) : server_(server), parser_(parser), input_(input) {}

  // The request's head is parsed, and says that a body follows.
  void expect(exchange::Request& request);
  bool pending() const { return request_ != nullptr; }
  bool wanted() const { return wanted_; }
  // None of it has arrived.
  bool untouched() const { return input_.empty() && received_ == 0; }

  // A step wants it: kMore or kRefused.
  Result want(size_t limit);
  // A large body has memory of its own, which the connection reads into. Empty otherwise.
  std::span<char> room();
  // So many bytes came into room(): kMore or kRefused.
  Result received(size_t bytes);
  // Takes what the input has. After kWhole or kRefused nothing is pending.
  Result read();

  std::string_view body() const { return body_; }
  const Refused& refused() const { return refused_; }
  Result refuse(int status, std::string detail, std::string_view field = {}, std::string_view value = {});
  // The request is answered without. False where the rest of it still has to arrive.
  bool skip();
  void drop() { request_ = nullptr; }

 private:
  // Counts what has arrived, not what was promised, against the limit for all bodies.
  bool charge(size_t arrived);
  Result refuse_memory();
  Result read_chunks();
  Result read_counted();
  Result decode();

  Server& server_;
  RequestParser& parser_;
  Input& input_;
  exchange::Request* request_ = nullptr;
  bool wanted_ = false, large_ = false;
  ContentCoding coding_ = ContentCoding::kIdentity;
  size_t limit_ = 0, received_ = 0;
  std::string_view body_;
  Refused refused_;
};

}  // namespace bulkhead::http::http1
