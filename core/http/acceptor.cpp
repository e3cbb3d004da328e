#include "core/http/acceptor.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "core/http/io_thread.hpp"
#include "core/http/server.hpp"

namespace bulkhead::http {

namespace {

constexpr uint32_t kPauseMs = 100;  // out of descriptors: no listening for a moment instead of spinning
constexpr int kPerWake = 64;
constexpr std::string_view kFull =
    "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

std::string peer_text(const sockaddr_storage& address, uint32_t* port) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_UNIX) return std::string(kUnixPeer);
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    *port = ntohs(v6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
      inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof text);
    else
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  } else {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    *port = ntohs(v4.sin_port);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  }
  return text;
}

}  // namespace

void Acceptor::begin(Loop& loop) {
  const std::lock_guard lock(mutex_);
  loop_ = &loop;
}

void Acceptor::ended() {
  const std::lock_guard lock(mutex_);
  loop_ = nullptr;
}

void Acceptor::turn(bool on) {
  const std::lock_guard lock(mutex_);
  if (on_.load(std::memory_order_relaxed) == on || loop_ == nullptr) return;
  on_.store(on, std::memory_order_release);
  watch(on);
}

void Acceptor::expired() {
  const std::lock_guard lock(mutex_);
  if (on() && loop_ != nullptr) watch(true);
}

void Acceptor::watch(bool on) {
  if (watching_ == on) return;
  watching_ = on;
  const auto& listeners = server_.listeners();
  for (size_t i = 0; i < listeners.size(); ++i) {
    if (!server_.accepts(io_, listeners[i])) continue;
    if (on)
      loop_->watch(listeners[i].fd, (i << 2) | kTag, true, false);
    else
      loop_->unwatch(listeners[i].fd);
  }
}

bool Acceptor::accept_from(size_t index) {
  const Server::Listener& listener = server_.listeners()[index];
  int listening = -1;
  {
    const std::lock_guard lock(mutex_);  // the socket may close once this is off
    if (!on()) return false;
    listening = listener.fd;
  }
  for (int i = 0; i < kPerWake; ++i) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    const int fd = ::accept4(listening, reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        server_.observe(Refusal::kDescriptors);
        {
          const std::lock_guard lock(mutex_);
          watch(false);
        }
        io_.deadlines().arm(*this, io_.now_ns(), kPauseMs);
      }
      return false;
    }
    // The operator's listener has places of its own: full others do not lock the operator out.
    if (!server_.connections().take(1, listener.spare)) {
      server_.observe(Refusal::kConnections);
      if (!listener.tls) {
        [[maybe_unused]] const ssize_t n = ::send(fd, kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      }
      ::close(fd);
      continue;
    }
    Arrival arrival{.stream = Stream(fd), .runner = listener.runner, .tls = listener.tls.get(), .peer = {}, .port = 0};
    arrival.peer = peer_text(address, &arrival.port);
    (listener.spare != 0 ? io_ : server_.least_loaded()).adopt(std::move(arrival));
  }
  return true;
}

void Acceptor::finish() {
  for (size_t i = 0; i < server_.listeners().size(); ++i) {
    if (!server_.accepts(io_, server_.listeners()[i])) continue;
    while (accept_from(i)) {
    }
  }
  io_.deadlines().disarm(*this);
  turn(false);
}

}  // namespace bulkhead::http
