#include "core/http/http1/pipeline.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "bulkhead/attributes.h"
#include "bulkhead/text/ascii.hpp"
#include "bulkhead/text/hex.hpp"
#include "core/exchange/method.hpp"
#include "core/http/connection.hpp"
#include "core/http/http1/writer.hpp"
#include "core/http/io_thread.hpp"

namespace bulkhead::http::http1 {

using chain::Wait;

namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

std::unique_ptr<Protocol> make_pipeline(Connection& connection) { return std::make_unique<Pipeline>(connection); }

Pipeline::Pipeline(Connection& connection)
    : connection_(connection),
      io_(connection.io()),
      runner_(connection.runner()),
      input_(io_.slabs(), io_.settings().limits.request_line + io_.settings().limits.header),
      parser_(io_.settings().limits),
      body_(io_.server(), parser_, input_) {}

Pipeline::~Pipeline() { abandon(); }

// A run has its slot from when its head is parsed until its answer has left.
Pipeline::Slot& Pipeline::slot_of(const Run& run) {
  return *std::find_if(slots_.begin(), slots_.end(), [&](const Slot& slot) { return slot.run == &run; });
}

void Pipeline::act(Run& run, Wait wait) {
  if (wait != Wait::kBody && wait != Wait::kWrite) return;
  Slot& slot = slot_of(run);
  if (wait == Wait::kBody) return want_body(slot);
  if (!slot.ready) answer_ready(slot);
}

void Pipeline::moved(Run& run, Wait wait) {
  act(run, wait);
  connection_.wake();
}

void Pipeline::failed() { connection_.abort(); }

bool Pipeline::advance() {
  bool progress = false;
  while (!connection_.closed()) {
    if (parked_ && may_begin(slots_.back())) {
      parked_ = false;
      begin(slots_.back());
    } else if (body_.pending()) {
      if (!read_body()) break;
    } else {
      if (!takes_requests() || input_.empty()) break;
      if (parsing_ == nullptr) {
        input_.consume(RequestParser::empty_lines({input_.data(), input_.size()}));
        if (input_.empty() || (input_.size() == 1 && *input_.data() == '\r')) break;
      }
      if (!parse_next()) break;
    }
    progress = true;
  }
  return progress;
}

// --------------------------------------------------------------------- input

bool Pipeline::wants_input() const { return body_.pending() ? body_.wanted() : takes_requests(); }

bool Pipeline::takes_requests() const {
  const Limits& limits = io_.settings().limits;
  return !no_more_requests_ && !parked_ && slots_.size() < limits.pipelined &&
         queued_bytes_ + held_bytes_ <= limits.queued;
}

std::span<char> Pipeline::room() {
  const std::span<char> own = body_.room();
  return own.empty() ? input_.room() : own;
}

void Pipeline::received(size_t bytes) {
  if (body_.room().empty()) return input_.added(bytes);
  if (body_.received(bytes) == BodyReader::Result::kRefused) refuse_body();
}

void Pipeline::input_ended() {
  if (!body_.pending()) return;
  body_.refuse(400, "The connection was closed in the middle of the body.");
  refuse_body();
}

Due Pipeline::due() const {
  if (body_.pending() && body_.wanted()) return Due::kBody;
  if (!input_.empty() && !connection_.half_closed() && wants_input()) return Due::kHeader;
  if (!slots_.empty()) return Due::kNothing;
  return first_request_ ? Due::kHeader : Due::kNextRequest;
}

void Pipeline::overdue(Due due) {
  if (due == Due::kHeader && !input_.empty()) return head_overdue();
  if (due != Due::kBody) return connection_.close();
  if (!body_.pending()) return;  // answered in the same moment
  io_.server().observe(Refusal::kBodyTimeout);
  body_.refuse(408, "The body did not arrive in time.");
  refuse_body();
}

void Pipeline::release_memory() {
  // While requests run, those behind them share their slab: small ones in pieces must not take one
  // each.
  if (input_.empty() && !body_.pending() && (slots_.empty() || !input_.slab() || !input_.slab()->shared()))
    input_.release();
}

void Pipeline::abandon() {
  body_.drop();
  parked_ = false;
  if (parsing_ != nullptr) std::exchange(parsing_, nullptr)->unref();
  while (!slots_.empty()) {
    Run& run = *slots_.front().run;
    slots_.pop_front();
    runner_.abandoned(run);
    run.unref();
  }
  input_.drop();
  input_.release();
}

// --------------------------------------------------------------------- heads

// Ids are the caller's where they are short and harmless, else ours: 128 random bits.
void Pipeline::set_id(Run& run) {
  exchange::Request& request = run.request;
  for (const bh_pair& field : request.fields) {
    if (to_view(field.name) != "x-request-id") continue;
    const std::string_view id = to_view(field.value);
    const bool sane = !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
      return is_alnum(c) || c == '-' || c == '_' || c == '.';
    });
    if (!sane) break;
    request.id = to_str(id);
    return;
  }
  const std::array<uint64_t, 2> bits = {io_.random(), io_.random()};
  request.id = to_str(hex({reinterpret_cast<const uint8_t*>(bits.data()), sizeof bits}, request.id_buffer));
}

void Pipeline::set_peer(Run& run) {
  exchange::Request& request = run.request;
  const Connection::Peer& peer = connection_.peer();
  std::memcpy(request.peer_buffer, peer.address, peer.length);
  request.peer = request.socket = {request.peer_buffer, peer.length};
  if (!peer.translated.empty()) request.peer = to_str(request.copy(peer.translated));
  request.peer_port = peer.port;
  request.scheme = to_str("http");
  if (const tls::Session* tls = connection_.tls(); tls != nullptr) {
    request.scheme = to_str("https");
    request.flags |= BH_TLS;
    if (!tls->client_subject().empty()) run.notes.put(BH_TLS_CLIENT_SUBJECT, tls->client_subject());
  }
}

Pipeline::Slot& Pipeline::add_slot(Run& run) {
  if (slots_.full()) slots_.set_capacity(std::max<size_t>(1, slots_.capacity() * 2));
  slots_.push_back(Slot{&run});
  return slots_.back();
}

bool Pipeline::parse_next() {
  if (parsing_ == nullptr) {
    parsing_ = io_.take_run(runner_, *this);
    parsing_->request.size = sizeof(bh_request);
    parser_.reset();
  }
  size_t consumed = 0;
  const RequestParser::Result result = parser_.parse_head(input_.data(), input_.size(), parsing_->request, &consumed);
  if (result == RequestParser::Result::kMore) return false;
  Slot& slot = add_slot(*parsing_);  // while `parsing_` still owns it: there may be no memory
  Run& run = *std::exchange(parsing_, nullptr);
  exchange::Request& request = run.request;
  request.head_slab = input_.slab();
  set_id(run);
  set_peer(run);
  request.received_ns = io_.now_ns();
  request.deadline_ns = request.received_ns + uint64_t{runner_.request_timeout_ms()} * 1'000'000;
  if (const TrustedProxies& proxies = io_.settings().proxies;
      !proxies.empty() && result != RequestParser::Result::kError) {
    const std::string_view socket = connection_.peer().text();
    const TrustedProxies::Client client = proxies.client(socket, request.fields);
    if (client.address != socket) {
      request.peer = to_str(request.copy(io_.settings().nat64.translate(client.address)));
      request.peer_port = 0;  // the connection's is the proxy's
    }
    if (!client.scheme.empty()) request.scheme = to_str(client.scheme);
  }

  slot.safe = exchange::safe_method(to_view(request.method));
  connection_.restart_deadline();
  first_request_ = false;
  if (result == RequestParser::Result::kError) {
    input_.drop();
    no_more_requests_ = true;
    if (!parser_.request_line_parsed()) run.skip_hooks();
    io_.server().observe(parser_.status() == 431 || parser_.status() == 414 ? Refusal::kHeader : Refusal::kMalformed);
    act(run, runner_.refuse(run, parser_.status(), parser_.detail()));
    return true;
  }
  slot.keep_alive = parser_.keep_alive();
  slot.expect_continue = parser_.expects_continue();
  input_.consume(consumed);
  request.bytes += consumed;
  held_bytes_ += consumed;
  if (!slot.keep_alive) no_more_requests_ = true;
  if (!request.body_complete) body_.expect(request);
  if (may_begin(slot))
    begin(slot);
  else
    parked_ = true;
  return true;
}

void Pipeline::begin(Slot& slot) {
  if (!slot.safe) ++unsafe_in_flight_;
  Run& run = *slot.run;
  act(run, runner_.advance(run));
}

void Pipeline::head_overdue() {
  io_.server().observe(Refusal::kHeaderTimeout);
  if (parsing_ == nullptr) parsing_ = io_.take_run(runner_, *this);
  add_slot(*parsing_);
  Run& run = *std::exchange(parsing_, nullptr);
  run.request.size = sizeof(bh_request);
  run.skip_hooks();
  set_id(run);
  set_peer(run);
  no_more_requests_ = true;
  input_.drop();
  act(run, runner_.refuse(run, 408, "The request's head did not arrive in time."));
}

// -------------------------------------------------------------------- bodies

void Pipeline::want_body(Slot& slot) {
  const uint64_t of_route = slot.run->plan->route->max_body;
  if (body_.want(of_route != 0 ? of_route : io_.settings().limits.body) == BodyReader::Result::kRefused) refuse_body();
}

bool Pipeline::read_body() {
  Run& run = *slots_.back().run;
  const uint64_t before = run.request.bytes;
  const BodyReader::Result result = body_.read();
  held_bytes_ += run.request.bytes - before;
  if (result == BodyReader::Result::kMore) return false;
  if (result == BodyReader::Result::kRefused) {
    refuse_body();
    return true;
  }
  connection_.restart_deadline();
  act(run, runner_.body_arrived(run, body_.body()));
  return true;
}

// What the reader refused: nothing more of the connection is understood.
void Pipeline::refuse_body() {
  const BodyReader::Refused& why = body_.refused();
  Slot& slot = slots_.back();
  slot.keep_alive = false;
  no_more_requests_ = true;
  parked_ = false;
  input_.drop();
  act(*slot.run, runner_.refuse(*slot.run, why.status, why.detail, why.field, why.value));
}

// ------------------------------------------------------------------- answers

void Pipeline::answer_ready(Slot& slot) {
  Run& run = *slot.run;
  if (body_.pending() && &slot == &slots_.back() && !body_.skip()) slot.keep_alive = false;
  if (&slot == &slots_.back() && input_.empty() && (io_.draining() || connection_.half_closed()))
    slot.keep_alive = false;
  if (!slot.keep_alive) no_more_requests_ = true;
  bool dropped = false;
  slot.head = write_head(run, slot.keep_alive, io_.date(), &dropped);
  if (dropped) runner_.report(run, "a header field was dropped: its name or value would break the message");
  if (to_view(run.request.method) != "HEAD" && !bodiless(run.answer.status())) slot.body = run.answer.body();
  queued_bytes_ += slot.size();
  slot.ready = true;
}

// Before the answer to the request whose body is waited for (RFC 9110 §10.1.1).
void Pipeline::offer_continue() {
  if (!body_.pending() || !body_.wanted() || slots_.size() != 1 || !slots_.front().expect_continue) return;
  slots_.front().expect_continue = false;
  if (body_.untouched()) continue_left_ = kContinue.size();
}

size_t Pipeline::gather(std::span<iovec> parts) {
  offer_continue();
  size_t count = 0, skip = written_of_front_;
  if (continue_left_ != 0) {
    parts[count++] = {const_cast<char*>(kContinue.data()) + kContinue.size() - continue_left_, continue_left_};
  }
  for (const Slot& slot : slots_) {
    if (!slot.ready || count + 2 > parts.size()) break;
    for (const std::string_view part : {slot.head, slot.body}) {
      const size_t dropped = std::min(skip, part.size());
      skip -= dropped;
      if (part.size() != dropped) parts[count++] = {const_cast<char*>(part.data()) + dropped, part.size() - dropped};
    }
    if (!slot.keep_alive) break;
  }
  return count;
}

bool Pipeline::sent(size_t bytes) {
  const size_t of_continue = std::min(bytes, continue_left_);
  continue_left_ -= of_continue;
  written_of_front_ += bytes - of_continue;
  while (!slots_.empty() && slots_.front().ready && written_of_front_ >= slots_.front().size()) {
    if (connection_.half_closed() && slots_.size() == 1 && !connection_.delivered()) break;
    written_of_front_ -= slots_.front().size();
    const bool last = !slots_.front().keep_alive;
    finish_front();
    if (last) return false;
  }
  return true;
}

void Pipeline::finish_front() {
  const Slot slot = slots_.front();
  slots_.pop_front();
  if (!slot.safe && unsafe_in_flight_ > 0) --unsafe_in_flight_;
  Run& run = *slot.run;
  run.bytes_out = slot.size();
  queued_bytes_ -= run.bytes_out;
  held_bytes_ -= run.request.bytes;
  runner_.written(run);
  run.unref();
}

}  // namespace bulkhead::http::http1
