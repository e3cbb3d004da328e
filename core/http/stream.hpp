// Stream: the bytes of one connection, in the clear or under TLS. Owns the socket.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "core/http/tls.hpp"

namespace bulkhead::http {

// One thread. Calls as recv(2) and sendmsg(2): -1 with errno, EAGAIN where the socket is not ready.
class Stream {
 public:
  explicit Stream(int fd) : fd_(fd) {}
  ~Stream() { close(); }
  Stream(Stream&& other) noexcept : fd_(std::exchange(other.fd_, -1)), tls_(std::move(other.tls_)) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Under TLS from now on.
  void secure(std::unique_ptr<tls::Session> session) { tls_ = std::move(session); }

  int fd() const { return fd_; }
  bool closed() const { return fd_ < 0; }
  const tls::Session* tls() const { return tls_.get(); }

  // 1 once bytes may be read and written.
  ssize_t handshake() { return tls_ ? tls_->handshake() : 1; }
  ssize_t read(std::span<char> to) { return tls_ ? tls_->read(to) : ::recv(fd_, to.data(), to.size(), 0); }
  ssize_t write(std::span<iovec> parts) {
    if (tls_) return tls_->write(parts);
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    return ::sendmsg(fd_, &message, MSG_NOSIGNAL);  // writev that raises no SIGPIPE
  }
  // What the peer still sends is of no interest: not even deciphered.
  ssize_t discard(std::span<char> scratch) { return ::recv(fd_, scratch.data(), scratch.size(), 0); }
  // Nothing more is written. False where TLS could not say so yet: again when the socket takes
  // bytes.
  bool end() {
    if (tls_ && !tls_->end()) return false;
    ::shutdown(fd_, SHUT_WR);
    return true;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  // What the peer's side has acknowledged of what was written: all of it, not yet all, or the
  // connection is gone.
  enum class Delivery : uint8_t { kDone, kPending, kFailed };
  Delivery delivery() const {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return Delivery::kDone;  // a unix socket
    if (info.tcpi_state == TCP_CLOSE) return Delivery::kFailed;
    int left = 0;
    return ::ioctl(fd_, TIOCOUTQ, &left) == 0 && left > 0 ? Delivery::kPending : Delivery::kDone;
  }

  bool wants_write() const { return tls_ && tls_->wants_write(); }
  bool pending() const { return tls_ && tls_->pending(); }

 private:
  int fd_;
  std::unique_ptr<tls::Session> tls_;
};

}  // namespace bulkhead::http
