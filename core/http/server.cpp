#include "core/http/server.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "core/http/io_thread.hpp"
#include "core/http/watchdog.hpp"
#include "core/runtime/clock.hpp"

namespace bulkhead::http {

namespace {

// Idle connections stay open this long after the drain began: a request that was on its way is
// answered.
constexpr uint64_t kGraceMs = 500;
// So many I/O threads accept: one alone may be held up, and a new connection wakes each.
constexpr size_t kAcceptors = 2;

}  // namespace

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

Server::Server(const Settings& settings, Observer observer, BlockedObserver blocked)
    : settings_(settings),
      observer_(std::move(observer)),
      blocked_(std::move(blocked)),
      bodies_(settings.limits.bodies_in_memory),
      connections_(settings.limits.connections) {}

Server::~Server() {
  watchdog_.reset();
  loop_.reset();
  for (Listener& listener : listeners_) listener.close();
}

void Server::Listener::close() {
  if (fd < 0) return;
  // While it still listens: behind the close another host may have its own socket there.
  if (!path.empty()) ::unlink(path.c_str());
  ::close(std::exchange(fd, -1));
}

std::string Server::listen(const ListenAddress& address, chain::Runner& runner, std::shared_ptr<tls::Context> tls,
                           size_t spare) {
  Listening listening = listen_on(address);
  if (listening.fd < 0) return std::move(listening.error);
  listeners_.push_back({listening.fd, &runner, std::move(tls), std::move(listening.text), spare, address.path});
  return {};
}

std::string Server::address(size_t index) const { return listeners_[index].address; }

void Server::run() {
  const bool reserved =
      std::any_of(listeners_.begin(), listeners_.end(), [](const Listener& each) { return each.spare != 0; });
  for (size_t i = 0; i < settings_.io_threads + (reserved ? 1 : 0); ++i)
    threads_.push_back(std::make_unique<IoThread>(*this, i));
  std::vector<LoopThread*> threads;
  for (const auto& io : threads_) threads.push_back(io.get());
  loop_ = std::make_unique<LoopThreads>(threads);
  watchdog_ = std::make_unique<Watchdog>(*this, threads_, blocked_);
  for (const auto& io : threads_)
    if (io->number() < kAcceptors || io->number() == settings_.io_threads) io->acceptor().turn(true);
}

bool Server::drain() {
  if (!loop_) return true;
  const uint64_t begin = runtime::now_ns();
  const uint64_t deadline = begin + uint64_t{settings_.timeouts.drain} * 1'000'000;
  // The last of those that accept closes the sockets behind it.
  std::vector<IoThread*> accepting;
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
    for (const auto& io : threads_)
      if (io->acceptor().on()) accepting.push_back(io.get());
    // One that is held up does not keep the sockets open, as long as another is there.
    if (std::any_of(accepting.begin(), accepting.end(), [](const IoThread* io) { return !io->blocked(); }))
      std::erase_if(accepting, [](IoThread* io) {
        if (io->blocked()) io->acceptor().turn(false);
        return io->blocked();
      });
  }
  auto left = std::make_shared<std::atomic<size_t>>(accepting.size());
  for (IoThread* io : accepting)
    io->call([this, io, left] {
      io->acceptor().finish();
      if (left->fetch_sub(1) != 1) return;
      for (Listener& listener : listeners_) listener.close();
    });
  for (const auto& io : threads_) io->call([&io] { io->drain(false); });
  bool idle_closed = false;
  uint64_t now = begin;
  // Exchanges outlive their connections: COMPLETE hooks and late holders end first, then the
  // plugins.
  while ((connections_.used() != 0 || exchanges() != 0) && now < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    now = runtime::now_ns();
    if (now - begin > kGraceMs * 1'000'000) {
      if (!idle_closed)
        for (const auto& io : threads_) io->call([&io] { io->drain(true); });
      idle_closed = true;
    }
  }
  const bool clean = connections_.used() == 0 && exchanges() == 0;
  if (!clean) {
    for (const auto& io : threads_) io->call([&io] { io->abort_all(); });
    while (connections_.used() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  watchdog_.reset();
  loop_.reset();
  return clean;
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
  sum.connections = connections_.used();
  sum.exchanges = exchanges();
  sum.body_bytes = bodies_.used();
  return sum;
}

IoThread& Server::least_loaded() {
  const auto shared = threads_.begin() + static_cast<ptrdiff_t>(settings_.io_threads);
  const auto before = [](const auto& a, const auto& b) {
    return a->blocked() != b->blocked() ? b->blocked() : a->load() < b->load();
  };
  return **std::min_element(threads_.begin(), shared, before);
}

bool Server::accepts(const IoThread& io, const Listener& listener) const {
  return (listener.spare != 0) == (io.number() == settings_.io_threads);
}

void Server::accept_elsewhere(IoThread& io) {
  const std::lock_guard lock(mutex_);
  if (draining_ || !io.acceptor().on() || io.number() == settings_.io_threads) return;
  for (size_t i = 0; i < settings_.io_threads; ++i) {
    IoThread& other = *threads_[i];
    if (other.blocked() || other.acceptor().on()) continue;
    other.acceptor().turn(true);
    io.acceptor().turn(false);
    return;
  }
}

}  // namespace bulkhead::http
