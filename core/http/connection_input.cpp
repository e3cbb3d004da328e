// What a connection reads: bytes into heads and bodies, and when each request may begin.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bulkhead/attributes.h"
#include "bulkhead/text/ascii.hpp"
#include "bulkhead/text/hex.hpp"
#include "core/http/connection.hpp"
#include "core/http/io_thread.hpp"

namespace bulkhead::http {

using exchange::Slab;
using exchange::SlabRef;
using exchange::Stage;

namespace {
constexpr int kReadsPerWake = 4;  // then other connections get their turn
}  // namespace

const chain::Plan Connection::kNoPlan;

bool Connection::safe(const Exchange& ex) {
  const std::string_view method = to_view(ex.request.method);
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

void Connection::make_room() {
  if (!slab_) {
    slab_ = io_.slabs().take();
    begin_ = end_ = 0;
  }
  if (begin_ == end_ && !slab_->shared()) begin_ = end_ = 0;
  if (end_ < slab_->capacity()) return;
  if (begin_ > 0 && !slab_->shared()) {
    std::memmove(slab_->data(), slab_->data() + begin_, buffered());
  } else {
    const Limits& limits = io_.settings().limits;
    SlabRef larger =
        buffered() * 2 <= Slab::kStandard
            ? io_.slabs().take()
            : SlabRef(Slab::make(std::max(limits.request_line + limits.header, buffered()) + Slab::kStandard));
    std::memcpy(larger->data(), slab_->data() + begin_, buffered());
    io_.slabs().give(std::exchange(slab_, std::move(larger)));
  }
  end_ = buffered();
  begin_ = 0;
}

// Reads once. True if there may be more.
bool Connection::receive() {
  char* to = nullptr;
  size_t room = 0;
  const bool into_body = body_of_ != nullptr && body_large_;
  if (into_body) {
    to = body_of_->body_slab->data() + body_received_;
    room = parser_.content_length() - body_received_;
  } else {
    make_room();
    to = slab_->data() + end_;
    room = slab_->capacity() - end_;
  }
  if (room == 0) return false;
  const ssize_t n = stream_.read({to, room});
  if (n > 0) {
    io_.count_in(static_cast<size_t>(n));
    (into_body ? body_received_ : end_) += static_cast<size_t>(n);
    if (into_body && !charge_body(body_received_)) return false;
    return static_cast<size_t>(n) == room || stream_.pending();
  }
  if (n == 0) {
    read_closed_ = true;
    if (body_of_ != nullptr) refuse_body(400, "The connection was closed in the middle of the body.");
  } else if (errno != EAGAIN && errno != EINTR) {
    if (!stream_.established()) io_.server().observe(Refusal::kHandshake);
    abort();
  }
  return false;
}

// Counts what has arrived of the body, not what was promised, against the limit for all bodies.
bool Connection::charge_body(size_t arrived) {
  Exchange& ex = *body_of_;
  if (arrived <= ex.body_charge) return true;
  if (io_.server().reserve_body(arrived - ex.body_charge)) {
    ex.body_charge = arrived;
    return true;
  }
  io_.server().observe(Refusal::kBodyMemory);
  refuse_body(503, "Too many large bodies are in memory at once. Try again in a moment.");
  return false;
}

void Connection::readable() {
  if (closed()) return;
  if (phase_ == Phase::kLingering) {
    char discard[4096];
    const ssize_t n = stream_.discard(discard);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close();
    return;
  }
  if (!wants_input()) return pump();
  corked_ = true;
  for (int i = 0; i < kReadsPerWake; ++i) {
    const bool more = receive();
    if (closed()) return;
    process();
    if (!more || !wants_input()) break;
  }
  pump();
}

bool Connection::process() {
  bool progress = false;
  while (phase_ == Phase::kOpen) {
    if (body_of_ != nullptr) {
      if (!read_body()) break;
    } else {
      if (!takes_requests()) break;
      if (buffered() == 0) break;
      if (parsing_ == nullptr) {
        begin_ += RequestParser::empty_lines({slab_->data() + begin_, buffered()});
        if (buffered() == 0 || (buffered() == 1 && slab_->data()[begin_] == '\r')) break;
      }
      if (!parse_next()) break;
    }
    progress = true;
  }
  return progress;
}

exchange::Exchange* Connection::new_exchange() {
  Exchange* ex = io_.take_exchange();
  ex->channel = this;
  ex->runner = &runner_;
  ex->table = io_.table(runner_);
  ex->request.size = sizeof(bh_request);
  ex->request.scheme = to_str("http");
  if (const tls::Session* tls = stream_.tls(); tls != nullptr) {
    ex->request.scheme = to_str("https");
    ex->request.flags |= BH_TLS;
    if (!tls->client_subject().empty()) ex->put(BH_TLS_CLIENT_SUBJECT, tls->client_subject());
  }
  return ex;
}

// Ids are the caller's where they are short and harmless, else ours: 128 random bits.
void Connection::set_id(Exchange& ex) {
  for (const bh_pair& field : ex.headers) {
    if (to_view(field.name) != "x-request-id") continue;
    const std::string_view id = to_view(field.value);
    const bool sane = !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
      return is_alnum(c) || c == '-' || c == '_' || c == '.';
    });
    if (!sane) break;
    ex.request.id = to_str(id);
    return;
  }
  for (int half = 0; half < 2; ++half) {
    uint64_t bits = io_.random();
    for (int i = 0; i < 16; ++i, bits >>= 4) ex.id_buffer[half * 16 + i] = kHexDigits[bits & 15];
  }
  ex.request.id = {ex.id_buffer, 32};
}

bool Connection::parse_next() {
  if (parsing_ == nullptr) {
    parsing_ = new_exchange();
    parser_.reset();
  }
  size_t consumed = 0;
  const RequestParser::Result result = parser_.parse_head(slab_->data() + begin_, buffered(), *parsing_, &consumed);
  if (result == RequestParser::Result::kMore) {
    make_room();
    return false;
  }
  Exchange& ex = *std::exchange(parsing_, nullptr);
  ex.head_slab = slab_;
  set_id(ex);
  ex.request.received_ns = io_.now_ns();
  ex.request.deadline_ns = ex.request.received_ns + uint64_t{runner_.request_timeout_ms()} * 1'000'000;
  std::memcpy(ex.peer_buffer, peer_, peer_length_);
  ex.request.peer = ex.request.socket = {ex.peer_buffer, peer_length_};
  if (!translated_.empty()) ex.request.peer = to_str(ex.copy(translated_));
  ex.request.peer_port = peer_port_;
  if (const TrustedProxies& proxies = io_.settings().proxies;
      !proxies.empty() && result != RequestParser::Result::kError) {
    const TrustedProxies::Client client = proxies.client({peer_, peer_length_}, ex.headers);
    if (client.address != std::string_view(peer_, peer_length_)) {
      ex.request.peer = to_str(ex.copy(io_.settings().nat64.translate(client.address)));
      ex.request.peer_port = 0;  // the connection's is the proxy's
    }
    if (!client.scheme.empty()) ex.request.scheme = to_str(client.scheme);
  }

  (back_ != nullptr ? back_->next_pipelined : front_) = &ex;
  back_ = &ex;
  ++in_flight_;
  deadline_kind_ = kNone;
  first_request_ = false;
  if (result == RequestParser::Result::kError) {
    begin_ = end_;
    no_more_requests_ = true;
    if (!parser_.request_line_parsed()) ex.plan = &kNoPlan;
    io_.server().observe(parser_.status() == 431 || parser_.status() == 414 ? Refusal::kHeader : Refusal::kMalformed);
    runner_.refuse(ex, parser_.status(), parser_.detail());
    return true;
  }
  begin_ += consumed;
  hold_bytes(ex, consumed);
  if (!ex.keep_alive) no_more_requests_ = true;
  if (!ex.body_complete) {
    body_of_ = &ex;
    body_wanted_ = body_large_ = false;
    body_received_ = 0;
  }
  if (may_begin(ex))
    begin(ex);
  else
    parked_ = &ex;
  return true;
}

bool Connection::may_begin(const Exchange& ex) const { return safe(ex) ? unsafe_in_flight_ == 0 : front_ == &ex; }

void Connection::begin(Exchange& ex) {
  if (!safe(ex)) ++unsafe_in_flight_;
  runner_.begin(ex);
}

// -------------------------------------------------------------------- bodies

void Connection::body_wanted(Exchange& ex) {
  const Limits& limits = io_.settings().limits;
  const uint64_t route_limit = ex.plan->route->max_body;
  body_limit_ = route_limit != 0 ? route_limit : limits.body;
  body_wanted_ = true;
  body_coding_ = ContentCoding::kIdentity;
  if (ex.body_coded) {
    std::string codings;
    for (const bh_pair& field : ex.headers)
      if (to_view(field.name) == "content-encoding") codings.append(to_view(field.value)).append(",");
    body_coding_ = content_coding(codings);
    if (body_coding_ == ContentCoding::kUnknown)
      return refuse_body(415, "The body's content coding is not one of gzip, br and zstd.", "accept-encoding",
                         kAcceptedCodings);
  }
  if (!corked_) io_.mark_dirty(*this);
  if (!parser_.chunked()) {
    const uint64_t length = parser_.content_length();
    if (length > body_limit_) {
      io_.server().observe(Refusal::kBodySize);
      return refuse_body(413, "The body is longer than " + std::to_string(body_limit_) + " bytes.");
    }
    if (!slab_ || length > slab_->capacity() - begin_) {
      ex.body_slab = SlabRef(Slab::make(length));
      body_large_ = true;
      body_received_ = std::min<size_t>(buffered(), length);
      if (body_received_ != 0) std::memcpy(ex.body_slab->data(), slab_->data() + begin_, body_received_);
      begin_ += body_received_;
      charge_body(body_received_);
    }
  }
}

bool Connection::read_body() {
  Exchange& ex = *body_of_;
  if (!body_wanted_) return false;
  std::string_view body;
  if (parser_.chunked()) {
    if (buffered() == 0) return false;
    size_t used = 0;
    const auto result = parser_.parse_chunked(slab_->data() + begin_, buffered(), body_limit_, &ex.body_text, &used);
    begin_ += used;
    if (result == RequestParser::Result::kError) {
      io_.server().observe(parser_.status() == 413 ? Refusal::kBodySize : Refusal::kMalformed);
      refuse_body(parser_.status(), parser_.detail());
      return true;
    }
    if (ex.body_text.size() > ex.body_charge + Slab::kStandard && !charge_body(ex.body_text.size())) return true;
    if (result == RequestParser::Result::kMore) {
      if (buffered() <= io_.settings().limits.header) return false;
      refuse_body(431, "A chunk's header or the trailer is longer than the limit.");
      return true;
    }
    hold_bytes(ex, ex.body_text.size());
    body = ex.body_text;
  } else {
    const size_t length = parser_.content_length();
    if (body_large_) {
      if (body_received_ < length) return false;
      body = {ex.body_slab->data(), length};
    } else {
      if (buffered() < length) return false;
      ex.body_slab = slab_;
      body = {slab_->data() + begin_, length};
      begin_ += length;
    }
    hold_bytes(ex, length);
  }
  if (body_coding_ != ContentCoding::kIdentity && !body.empty() && !decode_body(ex, &body)) return true;
  // After a 504 a hook on the executor may be reading the request.
  if (ex.stage == Stage::kBody) ex.request.body = to_str(body);
  ex.body_complete = true;
  body_of_ = nullptr;
  deadline_kind_ = kNone;
  runner_.body_arrived(ex);
  return true;
}

bool Connection::decode_body(Exchange& ex, std::string_view* body) {
  std::string decoded;
  const Decoded result = decode(body_coding_, *body, body_limit_, &decoded);
  if (result == Decoded::kTooLarge) {
    io_.server().observe(Refusal::kBodySize);
    refuse_body(413, "The body, once decoded, is longer than " + std::to_string(body_limit_) + " bytes.");
    return false;
  }
  if (result == Decoded::kMalformed) {
    refuse_body(400, "The body is not what its Content-Encoding says.");
    return false;
  }
  if (!charge_body(body->size() + decoded.size())) return false;
  ex.body_text = std::move(decoded);
  *body = ex.body_text;
  return true;
}

void Connection::refuse_body(int status, std::string_view detail, std::string_view field, std::string_view value) {
  if (body_of_ == nullptr) return;  // answered meanwhile
  Exchange& ex = *std::exchange(body_of_, nullptr);
  no_more_requests_ = true;
  begin_ = end_;
  if (parked_ == &ex) parked_ = nullptr;
  runner_.refuse(ex, status, detail, field, value);
}

}  // namespace bulkhead::http
