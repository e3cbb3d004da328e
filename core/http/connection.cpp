#include "core/http/connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/http/io_thread.hpp"
#include "core/http/response.hpp"

namespace bulkhead::http {

using exchange::Stage;

namespace {

constexpr uint32_t kLingerMs = 2'000, kDeliveryCheckMs = 10;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

Connection::Connection(IoThread& io, chain::Runner& runner, int fd, std::unique_ptr<tls::Session> tls,
                       std::string_view peer, uint32_t port)
    : io_(io), runner_(runner), stream_(fd, std::move(tls)), peer_port_(port), parser_(io.settings().limits) {
  peer_length_ = static_cast<uint8_t>(std::min(peer.size(), sizeof peer_));
  std::memcpy(peer_, peer.data(), peer_length_);
  if (peer.find(':') != std::string_view::npos) {
    std::string translated = io.settings().nat64.translate(peer);
    if (translated != peer) translated_ = std::move(translated);
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Connection::~Connection() { abort(); }

void Connection::start() {
  io_.watch(stream_.fd(), this, true, false);
  watched_ = true;
  update();
}

// ------------------------------------------------------------------- writing

void Connection::answer_ready(Exchange& ex) {
  if (body_of_ == &ex) {  // answered without its body
    const bool skippable = !parser_.chunked() && !body_large_ && buffered() >= parser_.content_length();
    body_of_ = nullptr;
    if (skippable) {
      begin_ += parser_.content_length();
    } else {
      ex.keep_alive = false;
      no_more_requests_ = true;
      begin_ = end_;
    }
  }
  if (back_ == &ex && buffered() == 0 && (io_.draining() || read_closed_)) ex.keep_alive = false;
  if (!ex.keep_alive) no_more_requests_ = true;
  if (!write_head(ex, ex.keep_alive, io_.date()))
    runner_.report(ex, "a header field was dropped: its name or value would break the message");
  const bool body = !ex.head_only && !bodiless(ex.outcome().status);
  ex.body_out = body ? ex.outcome().body : std::string_view();
  queued_bytes_ += ex.out_head.size() + ex.body_out.size();
  if (!corked_) io_.mark_dirty(*this);
}

// Before the answer to the request whose body is waited for (RFC 9110 §10.1.1).
void Connection::flush_continue() {
  if (closed() || phase_ != Phase::kOpen) return;
  if (body_of_ != nullptr && body_of_ == front_ && body_wanted_ && front_->expect_continue) {
    front_->expect_continue = false;
    if (buffered() == 0 && body_received_ == 0) continue_left_ = kContinue.size();
  }
  while (continue_left_ != 0 && !write_blocked_) {
    iovec part{const_cast<char*>(kContinue.data()) + kContinue.size() - continue_left_, continue_left_};
    const ssize_t n = stream_.write({&part, 1});
    if (n >= 0) {
      continue_left_ -= static_cast<size_t>(n);
      io_.deadlines().disarm(write_deadline_);
    } else if (errno == EAGAIN) {
      write_blocked_ = true;
      if (!write_deadline_.armed()) io_.deadlines().arm(write_deadline_, io_.now_ns(), io_.settings().timeouts.write);
    } else if (errno != EINTR) {
      return abort();
    }
  }
}

void Connection::flush() {
  flush_continue();  // what of it is left
  bool waits = false;
  while (!closed() && phase_ == Phase::kOpen && !write_blocked_ && front_ != nullptr &&
         front_->stage == Stage::kWriting) {
    std::array<iovec, 64> parts;
    size_t count = 0, total = 0, skip = written_of_front_;
    for (Exchange* ex = front_; ex != nullptr && ex->stage == Stage::kWriting && count + 2 <= parts.size();
         ex = ex->next_pipelined) {
      for (const std::string_view part : {std::string_view(ex->out_head), ex->body_out}) {
        const size_t dropped = std::min(skip, part.size());
        skip -= dropped;
        if (part.size() == dropped) continue;
        parts[count++] = {const_cast<char*>(part.data()) + dropped, part.size() - dropped};
        total += part.size() - dropped;
      }
      if (!ex->keep_alive) break;
    }
    const ssize_t n = total == 0 ? 0 : stream_.write({parts.data(), count});
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return abort();
      write_blocked_ = true;
    }
    size_t sent = n < 0 ? 0 : static_cast<size_t>(n);
    if (sent != 0) io_.deadlines().disarm(write_deadline_);
    io_.count_out(sent);
    written_of_front_ += sent;
    while (front_ != nullptr && front_->stage == Stage::kWriting &&
           written_of_front_ >= front_->out_head.size() + front_->body_out.size()) {
      if (read_closed_ && front_ == back_ && !delivered()) {
        waits = true;
        break;
      }
      written_of_front_ -= front_->out_head.size() + front_->body_out.size();
      const bool last = !front_->keep_alive;
      finish_front();
      if (last) return linger();
    }
    if (closed()) return;
    if (sent < total) write_blocked_ = true;
    if (write_blocked_ && !write_deadline_.armed())
      io_.deadlines().arm(write_deadline_, io_.now_ns(), io_.settings().timeouts.write);
    if (waits) return;
  }
  flush_continue();  // the next one's turn may have come
}

bool Connection::delivered() {
  const Stream::Delivery delivery = stream_.delivery();
  if (delivery == Stream::Delivery::kFailed) {
    abort();
    return false;
  }
  if (delivery_since_ns_ == 0) delivery_since_ns_ = io_.now_ns();
  if (delivery == Stream::Delivery::kPending && io_.now_ns() - delivery_since_ns_ < uint64_t{kLingerMs} * 1'000'000)
    return false;
  delivery_since_ns_ = 0;
  return true;
}

void Connection::finish_front() {
  Exchange& ex = *front_;
  front_ = ex.next_pipelined;
  if (front_ == nullptr) back_ = nullptr;
  --in_flight_;
  if (!safe(ex) && unsafe_in_flight_ > 0) --unsafe_in_flight_;
  ex.bytes_out = ex.out_head.size() + ex.body_out.size();
  queued_bytes_ -= ex.bytes_out;
  held_bytes_ -= ex.bytes_in;
  runner_.written(ex);
  ex.unref();
}

void Connection::writable() {
  if (closed()) return;
  write_blocked_ = false;
  if (phase_ == Phase::kLingering) {
    linger();
    return update();
  }
  stream_.wants_write() ? readable() : pump();
}

void Connection::pump() {
  if (closed()) return;
  corked_ = true;
  while (true) {
    flush();
    if (closed()) return;
    if (phase_ != Phase::kOpen) break;
    if (parked_ != nullptr && may_begin(*parked_)) {
      begin(*std::exchange(parked_, nullptr));
      continue;
    }
    if (process()) continue;
    // What TLS has taken from the socket already: no event will tell of it.
    if (!stream_.pending() || !wants_input()) break;
    receive();
    if (closed()) return;
  }
  corked_ = false;
  update();
}

// ------------------------------------------------------------------- closing

void Connection::linger() {
  phase_ = Phase::kLingering;
  // A socket that is full takes no close_notify yet: writable() tries again.
  write_blocked_ = !stream_.end();
  if (read_closed_ && !write_blocked_) abort();
}

void Connection::write_stalled() {
  io_.server().observe(Refusal::kWriteStall);
  abort();
}

void Connection::hung_up() { abort(); }

void Connection::close() {
  if (closed()) return;
  if (stream_.tls() != nullptr) stream_.end();  // so that the peer knows the end from an attack (RFC 8446 §6.1)
  abort();
}

void Connection::abort() {
  if (closed()) return;
  if (watched_) io_.unwatch(stream_.fd());
  stream_.close();
  io_.deadlines().disarm(read_deadline_);
  io_.deadlines().disarm(write_deadline_);
  body_of_ = parked_ = nullptr;
  if (parsing_ != nullptr) std::exchange(parsing_, nullptr)->unref();
  while (front_ != nullptr) {
    Exchange& ex = *front_;
    front_ = ex.next_pipelined;
    runner_.abandoned(ex);
    ex.unref();
  }
  back_ = nullptr;
  if (slab_) io_.slabs().give(std::move(slab_));
  io_.bury(*this);
}

void Connection::drain(bool now) {
  if (closed() || phase_ != Phase::kOpen) return;
  if (in_flight_ == 0 && (now || read_closed_)) {
    readable();  // what has arrived meanwhile is answered
    if (!closed() && in_flight_ == 0 && buffered() == 0) close();
  }
}

bool Connection::wants_input() const {
  if (read_closed_) return false;
  if (phase_ == Phase::kLingering) return true;
  if (body_of_ != nullptr) return body_wanted_;
  return takes_requests();
}

bool Connection::takes_requests() const {
  const Limits& limits = io_.settings().limits;
  return !no_more_requests_ && parked_ == nullptr && in_flight_ < limits.pipelined &&
         queued_bytes_ + held_bytes_ <= limits.queued;
}

void Connection::hold_bytes(Exchange& ex, size_t count) {
  ex.bytes_in += count;
  held_bytes_ += count;
}

void Connection::update() {
  if (closed()) return;
  if (phase_ == Phase::kOpen && in_flight_ == 0 && (read_closed_ || (io_.closing_idle() && buffered() == 0)))
    return close();
  // While requests run, those behind them share their slab: small ones in pieces must not take one
  // each.
  if (begin_ == end_ && slab_ && body_of_ == nullptr && (in_flight_ == 0 || !slab_->shared()))
    io_.slabs().give(std::move(slab_));
  if (!slab_) begin_ = end_ = 0;

  // Where TLS must write before it can read on, bytes that wait in the socket are no news.
  const bool input = wants_input(), blocked = phase_ == Phase::kOpen && input && stream_.wants_write();
  const bool read = input && !blocked, write = write_blocked_ || blocked;
  if (read != interest_read_ || write != interest_write_) {
    interest_read_ = read;
    interest_write_ = write;
    io_.rearm(stream_.fd(), this, read, write);
  }

  const Timeouts& timeouts = io_.settings().timeouts;
  if (phase_ == Phase::kLingering)
    set_read_deadline(kLingerMs, kLinger);
  else if (delivery_since_ns_ != 0)
    set_read_deadline(kDeliveryCheckMs, kDelivery);
  else if (!stream_.established())
    set_read_deadline(timeouts.header, kHandshake);
  else if (body_of_ != nullptr && body_wanted_)
    set_read_deadline(timeouts.body, kBody);
  else if (input && buffered() != 0)
    set_read_deadline(timeouts.header, kHeader);
  else if (in_flight_ == 0)
    set_read_deadline(first_request_ ? timeouts.header : timeouts.idle, first_request_ ? kHeader : kIdle);
  else
    set_read_deadline(0, kNone);
}

void Connection::set_read_deadline(uint32_t duration_ms, int kind) {
  if (kind == kNone) {
    deadline_kind_ = kNone;
    return io_.deadlines().disarm(read_deadline_);
  }
  if (kind == deadline_kind_ && read_deadline_.armed()) return;
  deadline_kind_ = kind;
  io_.deadlines().arm(read_deadline_, io_.now_ns(), duration_ms);
}

void Connection::read_expired() {
  switch (deadline_kind_) {
    case kBody:
      if (body_of_ == nullptr) break;  // answered in the same moment
      io_.server().observe(Refusal::kBodyTimeout);
      refuse_body(408, "The body did not arrive in time.");
      break;
    case kHeader:
      if (buffered() == 0) return close();
      io_.server().observe(Refusal::kHeaderTimeout);
      {
        Exchange& ex = *(parsing_ != nullptr ? std::exchange(parsing_, nullptr) : new_exchange());
        ex.plan = &kNoPlan;
        set_id(ex);
        (back_ != nullptr ? back_->next_pipelined : front_) = &ex;
        back_ = &ex;
        ++in_flight_;
        no_more_requests_ = true;
        begin_ = end_;
        runner_.refuse(ex, 408, "The request's head did not arrive in time.");
      }
      break;
    case kDelivery:
      break;  // pump() looks again
    case kHandshake:
      io_.server().observe(Refusal::kHandshake);
      return abort();
    default:
      return close();
  }
  if (!closed()) io_.mark_dirty(*this);
}

}  // namespace bulkhead::http
