#include "core/http/connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/http/io_thread.hpp"

namespace bulkhead::http {

namespace {

constexpr uint32_t kLingerMs = 2'000, kDeliveryCheckMs = 10;
constexpr int kReadsPerWake = 4;  // then other connections get their turn

}  // namespace

Connection::Connection(IoThread& io, Arrival arrival)
    : io_(io), runner_(*arrival.runner), stream_(std::move(arrival.stream)) {
  const std::string& peer = arrival.peer;
  peer_.length = static_cast<uint8_t>(std::min(peer.size(), sizeof peer_.address));
  std::memcpy(peer_.address, peer.data(), peer_.length);
  peer_.port = arrival.port;
  if (peer.find(':') != std::string::npos) {
    std::string translated = io.settings().nat64.translate(peer);
    if (translated != peer) peer_.translated = std::move(translated);
  }
  const int on = 1;
  ::setsockopt(stream_.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (stream_.tls() == nullptr || arrival.open) open();
  if (arrival.served) protocol_->mark_served();
  moved_ = arrival.moved;
}

Connection::~Connection() { abort(); }

void Connection::start() {
  io_.watch(stream_.fd(), this, true, false);
  watched_ = true;
  update();
}

void Connection::wake() { io_.mark_dirty(*this); }

// ------------------------------------------------------------------- reading

// True once it is done.
bool Connection::handshake() {
  const ssize_t n = stream_.handshake();
  if (n > 0) {
    open();
    return true;
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (n < 0) io_.server().observe(Refusal::kHandshake);  // a port probe that sends nothing does not count
  abort();
  return false;
}

void Connection::open() {
  const tls::Session* tls = stream_.tls();
  protocol_ = protocol_for(tls != nullptr ? tls->protocol() : std::string_view()).make(*this);
  phase_ = Phase::kOpen;
}

void Connection::readable() {
  if (closed()) return;
  if (phase_ == Phase::kLingering) return discard();
  if (phase_ == Phase::kHandshake && !handshake()) {
    if (!closed()) update();
    return;
  }
  for (int i = 0; i < kReadsPerWake && wants_input(); ++i) {
    const bool more = receive();
    if (closed()) return;
    protocol_->advance();
    if (closed()) return;
    if (!more) break;
  }
  pump();
}

bool Connection::receive() {
  const std::span<char> room = protocol_->room();
  if (room.empty()) return false;
  const ssize_t n = stream_.read(room);
  if (n > 0) {
    io_.count_in(static_cast<size_t>(n));
    moved_ = false;
    protocol_->received(static_cast<size_t>(n));
    return static_cast<size_t>(n) == room.size() || stream_.pending();
  }
  if (n == 0) {
    read_closed_ = true;
    protocol_->input_ended();
  } else if (errno != EAGAIN && errno != EINTR) {
    abort();
  }
  return false;
}

void Connection::discard() {
  char scratch[4096];
  const ssize_t n = stream_.discard(scratch);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close();
}

bool Connection::wants_input() const {
  if (read_closed_) return false;
  return phase_ != Phase::kOpen || protocol_->wants_input();
}

// ------------------------------------------------------------------- writing

void Connection::flush() {
  while (!closed() && phase_ == Phase::kOpen && !write_blocked_) {
    std::array<iovec, 64> parts;
    const size_t count = protocol_->gather(parts);
    size_t total = 0, sent = 0;
    for (size_t i = 0; i < count; ++i) total += parts[i].iov_len;
    if (count != 0) {
      const ssize_t n = stream_.write({parts.data(), count});
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno != EAGAIN) return abort();
      sent = n < 0 ? 0 : static_cast<size_t>(n);
      if (sent != 0) io_.deadlines().disarm(write_deadline_);
      io_.count_out(sent);
    }
    const bool more = protocol_->sent(sent);
    if (closed()) return;
    if (!more) return linger();
    if (sent < total) {
      write_blocked_ = true;
      if (!write_deadline_.armed()) io_.deadlines().arm(write_deadline_, io_.now_ns(), io_.settings().timeouts.write);
    }
    if (count == 0) return;
  }
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
  if (phase_ == Phase::kHandshake) return update();
  while (true) {
    flush();
    if (closed()) return;
    if (phase_ != Phase::kOpen) break;
    if (protocol_->advance()) continue;
    if (closed()) return;
    // What TLS has taken from the socket already: no event will tell of it.
    if (!stream_.pending() || !wants_input()) break;
    receive();
    if (closed()) return;
  }
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
  io_.bury(*this);
  if (protocol_) protocol_->abandon();
}

std::optional<Arrival> Connection::leave() {
  const bool waits =
      phase_ == Phase::kHandshake || (phase_ == Phase::kOpen && protocol_->quiet() && protocol_->wants_input());
  if (closed() || dirty || moved_ || !waits || read_closed_ || write_blocked_ || delivery_since_ns_ != 0 ||
      stream_.pending() || stream_.wants_write())
    return std::nullopt;
  if (watched_) io_.unwatch(stream_.fd());
  io_.deadlines().disarm(read_deadline_);
  io_.part_with(*this);
  return Arrival{.stream = std::move(stream_),
                 .runner = &runner_,
                 .tls = nullptr,
                 .peer = std::string(peer_.text()),
                 .port = peer_.port,
                 .open = protocol_ != nullptr,
                 .served = protocol_ && protocol_->served(),
                 .moved = true};
}

void Connection::drain(bool now) {
  if (closed() || phase_ == Phase::kLingering) return;
  if (protocol_ && !protocol_->idle()) return;
  if (!now && !read_closed_) return;
  readable();  // what has arrived meanwhile is answered
  if (!closed() && phase_ != Phase::kLingering && (!protocol_ || protocol_->quiet())) close();
}

// ------------------------------------------------------------------- waiting

void Connection::update() {
  if (closed()) return;
  const bool idle = !protocol_ || protocol_->idle(), quiet = !protocol_ || protocol_->quiet();
  if (phase_ != Phase::kLingering && idle && (read_closed_ || (io_.closing_idle() && quiet))) return close();
  if (protocol_) protocol_->release_memory();

  // Where TLS must write before it can read on, bytes that wait in the socket are no news.
  const bool input = wants_input(), blocked = phase_ != Phase::kLingering && input && stream_.wants_write();
  const bool read = input && !blocked, write = write_blocked_ || blocked;
  if (read != interest_read_ || write != interest_write_) {
    interest_read_ = read;
    interest_write_ = write;
    io_.rearm(stream_.fd(), this, read, write);
  }
  set_read_deadline(deadline_kind());
}

Connection::DeadlineKind Connection::deadline_kind() const {
  if (phase_ == Phase::kLingering) return kLinger;
  if (phase_ == Phase::kHandshake) return kHandshakeDue;
  if (delivery_since_ns_ != 0) return kDelivery;
  switch (protocol_->due()) {
    case Due::kHeader:
      return kHeaderDue;
    case Due::kBody:
      return kBodyDue;
    case Due::kNextRequest:
      return kRequestDue;
    case Due::kNothing:
      break;
  }
  return kNone;
}

void Connection::set_read_deadline(DeadlineKind kind) {
  const Timeouts& timeouts = io_.settings().timeouts;
  const uint32_t durations[] = {0,         timeouts.header, timeouts.header, timeouts.body, timeouts.idle,
                                kLingerMs, kDeliveryCheckMs};
  if (kind == kNone) {
    deadline_kind_ = kNone;
    return io_.deadlines().disarm(read_deadline_);
  }
  if (kind == deadline_kind_ && read_deadline_.armed()) return;
  deadline_kind_ = kind;
  io_.deadlines().arm(read_deadline_, io_.now_ns(), durations[kind]);
}

void Connection::read_expired() {
  switch (deadline_kind_) {
    case kHeaderDue:
      protocol_->overdue(Due::kHeader);
      break;
    case kBodyDue:
      protocol_->overdue(Due::kBody);
      break;
    case kRequestDue:
      protocol_->overdue(Due::kNextRequest);
      break;
    case kDelivery:
      break;  // pump() looks again
    case kHandshakeDue:
      io_.server().observe(Refusal::kHandshake);
      return abort();
    case kLinger:
    case kNone:
      return close();
  }
  if (!closed()) wake();
}

}  // namespace bulkhead::http
