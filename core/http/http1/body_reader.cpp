#include "core/http/http1/body_reader.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bulkhead::http::http1 {

using runtime::Slab;
using runtime::SlabRef;
using Result = BodyReader::Result;

void BodyReader::expect(exchange::Request& request) {
  request_ = &request;
  wanted_ = large_ = false;
  coding_ = ContentCoding::kIdentity;
  received_ = 0;
  body_ = {};
}

Result BodyReader::refuse(int status, std::string detail, std::string_view field, std::string_view value) {
  refused_ = {status, std::move(detail), field, value};
  request_ = nullptr;
  return Result::kRefused;
}

bool BodyReader::charge(size_t arrived) {
  if (arrived <= request_->body_charge) return true;
  if (!server_.bodies().take(arrived - request_->body_charge)) return false;
  request_->body_charge = arrived;
  return true;
}

Result BodyReader::refuse_memory() {
  server_.observe(Refusal::kBodyMemory);
  return refuse(503, "Too many large bodies are in memory at once. Try again in a moment.");
}

Result BodyReader::want(size_t limit) {
  if (wanted_) return Result::kMore;
  wanted_ = true;
  limit_ = limit;
  if (request_->body_coded) {
    std::string codings;
    for (const bh_pair& field : request_->fields)
      if (to_view(field.name) == "content-encoding") codings.append(to_view(field.value)).append(",");
    coding_ = content_coding(codings);
    if (coding_ == ContentCoding::kUnknown)
      return refuse(415, "The body's content coding is not one of gzip, br and zstd.", "accept-encoding",
                    kAcceptedCodings);
  }
  if (parser_.chunked()) return Result::kMore;
  const uint64_t length = parser_.content_length();
  if (length > limit_) {
    server_.observe(Refusal::kBodySize);
    return refuse(413, "The body is longer than " + std::to_string(limit_) + " bytes.");
  }
  if (length <= input_.capacity()) return Result::kMore;
  request_->body_slab = SlabRef(Slab::make(length));
  large_ = true;
  received_ = std::min<size_t>(input_.size(), length);
  if (received_ != 0) std::memcpy(request_->body_slab->data(), input_.data(), received_);
  input_.consume(received_);
  return charge(received_) ? Result::kMore : refuse_memory();
}

std::span<char> BodyReader::room() {
  if (!pending() || !large_) return {};
  return {request_->body_slab->data() + received_, parser_.content_length() - received_};
}

Result BodyReader::received(size_t bytes) {
  received_ += bytes;
  return charge(received_) ? Result::kMore : refuse_memory();
}

Result BodyReader::read() {
  if (!wanted_) return Result::kMore;
  Result result = parser_.chunked() ? read_chunks() : read_counted();
  if (result == Result::kWhole && coding_ != ContentCoding::kIdentity && !body_.empty()) result = decode();
  if (result == Result::kWhole) request_ = nullptr;
  return result;
}

Result BodyReader::read_chunks() {
  if (input_.empty()) return Result::kMore;
  size_t used = 0;
  const auto result = parser_.parse_chunked(input_.data(), input_.size(), limit_, &request_->body_text, &used);
  input_.consume(used);
  if (result == RequestParser::Result::kError) {
    server_.observe(parser_.status() == 413 ? Refusal::kBodySize : Refusal::kMalformed);
    return refuse(parser_.status(), std::string(parser_.detail()));
  }
  const size_t size = request_->body_text.size();
  if (size > request_->body_charge + Slab::kStandard && !charge(size)) return refuse_memory();
  if (result == RequestParser::Result::kMore) {
    if (input_.size() <= server_.settings().limits.header) return Result::kMore;
    return refuse(431, "A chunk's header or the trailer is longer than the limit.");
  }
  body_ = request_->body_text;
  request_->bytes += size;
  return Result::kWhole;
}

Result BodyReader::read_counted() {
  const size_t length = parser_.content_length();
  if (large_) {
    if (received_ < length) return Result::kMore;
    body_ = {request_->body_slab->data(), length};
  } else {
    if (input_.size() < length) return Result::kMore;
    request_->body_slab = input_.slab();
    body_ = {input_.data(), length};
    input_.consume(length);
  }
  request_->bytes += length;
  return Result::kWhole;
}

Result BodyReader::decode() {
  std::string decoded;
  const Decoded result = http::decode(coding_, body_, limit_, &decoded);
  if (result == Decoded::kTooLarge) {
    server_.observe(Refusal::kBodySize);
    return refuse(413, "The body, once decoded, is longer than " + std::to_string(limit_) + " bytes.");
  }
  if (result == Decoded::kMalformed) return refuse(400, "The body is not what its Content-Encoding says.");
  if (!charge(body_.size() + decoded.size())) return refuse_memory();
  request_->body_text = std::move(decoded);
  body_ = request_->body_text;
  return Result::kWhole;
}

bool BodyReader::skip() {
  request_ = nullptr;
  if (parser_.chunked() || large_ || input_.size() < parser_.content_length()) {
    input_.drop();
    return false;
  }
  input_.consume(parser_.content_length());
  return true;
}

}  // namespace bulkhead::http::http1
