#include "core/http/server.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "core/http/io_thread.hpp"
#include "core/runtime/clock.hpp"

namespace bulkhead::http {

namespace {

constexpr int kBacklog = 4096;
// Idle connections stay open this long after the drain began: a request that was on its way is answered.
constexpr uint64_t kGraceMs = 500;

// Pistache clones one handler per thread; each clone serves one IoThread.
class Handler final : public Pistache::Aio::Handler {
 public:
  Handler(std::vector<std::unique_ptr<IoThread>>& threads, size_t* next) : threads_(threads), next_(next) {}
  std::shared_ptr<Pistache::Aio::Handler> clone() const override {
    auto copy = std::make_shared<Handler>(threads_, next_);
    copy->io_ = threads_[(*next_)++].get();
    return copy;
  }
  void registerPoller(Pistache::Polling::Epoll& poller) override { io_->attach(poller); }
  void onReady(const Pistache::Aio::FdSet& fds) override { io_->on_ready(fds); }

 private:
  std::vector<std::unique_ptr<IoThread>>& threads_;
  size_t* next_;
  IoThread* io_ = nullptr;
};

}  // namespace

class Server::Reactor {
 public:
  explicit Reactor(std::vector<std::unique_ptr<IoThread>>& threads) : reactor_(Pistache::Aio::Reactor::create()) {
    reactor_->init(Pistache::Aio::AsyncContext(threads.size(), "bh-io"));
    reactor_->addHandler(std::make_shared<Handler>(threads, &next_));
  }
  void run() { reactor_->run(); }
  void shutdown() { reactor_->shutdown(); }

 private:
  size_t next_ = 0;
  std::shared_ptr<Pistache::Aio::Reactor> reactor_;
};

std::string_view refusal_name(Refusal refusal) {
  switch (refusal) {
    case Refusal::kConnections:
      return "connections";
    case Refusal::kDescriptors:
      return "descriptors";
    case Refusal::kMalformed:
      return "malformed";
    case Refusal::kHeader:
      return "header_size";
    case Refusal::kBodySize:
      return "body_size";
    case Refusal::kBodyMemory:
      return "body_memory";
    case Refusal::kHeaderTimeout:
      return "header_timeout";
    case Refusal::kBodyTimeout:
      return "body_timeout";
    case Refusal::kWriteStall:
      return "write_stall";
    case Refusal::kHandshake:
      return "handshake";
  }
  return "";
}

Server::Server(const Settings& settings, Observer observer) : settings_(settings), observer_(std::move(observer)) {}

Server::~Server() {
  reactor_.reset();
  for (Listener& listener : listeners_)
    if (listener.fd >= 0) ::close(listener.fd);
}

std::string Server::listen(std::string_view address, chain::Runner& runner, std::shared_ptr<tls::Context> tls,
                           size_t spare) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return "'" + std::string(address) + "' is not HOST:PORT";
  std::string host(address.substr(0, colon));
  const std::string port(address.substr(colon + 1));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "*") host = "0.0.0.0";

  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
    return "'" + std::string(address) + "': " + ::gai_strerror(error);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, ::freeaddrinfo);

  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd >= 0) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || ::bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, kBacklog) != 0) {
    std::string why = "cannot listen on " + std::string(address) + ": " + std::strerror(errno);
    if (errno == EADDRINUSE) why += "; another program has this port, choose another one";
    if (fd >= 0) ::close(fd);
    return why;
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
  const uint16_t number = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                                            : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  listeners_.push_back(
      {fd, &runner, std::move(tls), std::string(address.substr(0, colon)) + ":" + std::to_string(number), spare});
  return {};
}

std::string Server::address(size_t index) const { return listeners_[index].address; }

void Server::run() {
  for (size_t i = 0; i < settings_.io_threads; ++i) threads_.push_back(std::make_unique<IoThread>(*this, i));
  reactor_ = std::make_unique<Reactor>(threads_);
  reactor_->run();
}

bool Server::drain() {
  if (!reactor_) return true;
  const uint64_t begin = runtime::now_ns();
  const uint64_t deadline = begin + uint64_t{settings_.timeouts.drain} * 1'000'000;
  threads_.front()->call([this] { threads_.front()->close_listeners(); });
  for (const auto& io : threads_) io->call([&io] { io->drain(false); });
  bool idle_closed = false;
  uint64_t now = begin;
  // Exchanges outlive their connections: COMPLETE hooks and late holders end first, then the plugins.
  while ((connections() != 0 || exchanges() != 0) && now < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    now = runtime::now_ns();
    if (now - begin > kGraceMs * 1'000'000) {
      if (!idle_closed)
        for (const auto& io : threads_) io->call([&io] { io->drain(true); });
      idle_closed = true;
    }
  }
  const bool clean = connections() == 0 && exchanges() == 0;
  if (!clean) {
    for (const auto& io : threads_) io->call([&io] { io->abort_all(); });
    while (connections() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  reactor_->shutdown();
  reactor_.reset();  // joins
  for (const auto& io : threads_) io->detach();
  return clean;
}

bool Server::reserve_body(size_t bytes) {
  if (bodies_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= settings_.limits.bodies_in_memory) return true;
  bodies_.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

bool Server::enter_connection(const Listener& listener) {
  const size_t limit = settings_.limits.connections + listener.spare;
  if (connections_.fetch_add(1, std::memory_order_acq_rel) < limit) return true;
  leave_connection();
  return false;
}

size_t Server::exchanges() const {
  size_t sum = 0;
  for (const auto& io : threads_) sum += io->exchanges();
  return sum;
}

Server::Figures Server::figures() const {
  Figures sum;
  for (const auto& io : threads_) {
    sum.bytes_in += io->bytes_in();
    sum.bytes_out += io->bytes_out();
    sum.busy_ns += io->busy_ns();
    sum.longest_batch_ns = std::max(sum.longest_batch_ns, io->take_longest_batch_ns());
  }
  sum.connections = connections();
  sum.exchanges = exchanges();
  sum.body_bytes = bodies_.load(std::memory_order_relaxed);
  return sum;
}

IoThread& Server::least_loaded() {
  return **std::min_element(threads_.begin(), threads_.end(),
                            [](const auto& a, const auto& b) { return a->load() < b->load(); });
}

}  // namespace bulkhead::http
