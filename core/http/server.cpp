#include "core/http/server.hpp"

#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "core/http/io_thread.hpp"
#include "core/runtime/clock.hpp"

namespace bulkhead::http {

namespace {

// Idle connections stay open this long after the drain began: a request that was on its way is
// answered.
constexpr uint64_t kGraceMs = 500;

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

Server::Server(const Settings& settings, Observer observer)
    : settings_(settings),
      observer_(std::move(observer)),
      bodies_(settings.limits.bodies_in_memory),
      connections_(settings.limits.connections) {}

Server::~Server() {
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
  for (size_t i = 0; i < settings_.io_threads; ++i) threads_.push_back(std::make_unique<IoThread>(*this, i));
  std::vector<LoopThread*> threads;
  for (const auto& io : threads_) threads.push_back(io.get());
  loop_ = std::make_unique<LoopThreads>(threads);
}

bool Server::drain() {
  if (!loop_) return true;
  const uint64_t begin = runtime::now_ns();
  const uint64_t deadline = begin + uint64_t{settings_.timeouts.drain} * 1'000'000;
  threads_.front()->call([this] { threads_.front()->acceptor().close(); });
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
  return **std::min_element(threads_.begin(), threads_.end(),
                            [](const auto& a, const auto& b) { return a->load() < b->load(); });
}

}  // namespace bulkhead::http
