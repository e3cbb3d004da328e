// Server: listening sockets, I/O threads, limits that span them.
//
// Life: listen() as often as needed, run(), drain(). Everything the host serves
// comes through a chain::Runner, one per listener.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/chain/runner.hpp"
#include "core/http/listen_address.hpp"
#include "core/http/settings.hpp"
#include "core/http/tls.hpp"

namespace bulkhead::http {

class IoThread;

// Why a request or connection was turned away; the label of a metric.
enum class Refusal : uint8_t {
  kConnections,
  kDescriptors,
  kMalformed,
  kHeader,
  kBodySize,
  kBodyMemory,
  kHeaderTimeout,
  kBodyTimeout,
  kWriteStall,
  kHandshake
};
inline constexpr size_t kRefusals = 10;
std::string_view refusal_name(Refusal refusal);

class Server {
 public:
  using Observer = std::function<void(Refusal)>;

  Server(const Settings& settings, Observer observer);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Under TLS where a context is given. `spare` connections are taken past the limit. Empty on
  // success, else why not.
  std::string listen(const ListenAddress& address, chain::Runner& runner, std::shared_ptr<tls::Context> tls,
                     size_t spare);
  // The address listener `index` is bound to, with the port the system chose.
  std::string address(size_t index) const;

  // Starts the I/O threads and returns.
  void run();
  // Stops accepting, answers what runs, closes, stops the threads. True if everything ended before
  // the deadline.
  bool drain();

  struct Listener {
    int fd = -1;
    chain::Runner* runner = nullptr;
    std::shared_ptr<tls::Context> tls;
    std::string address;
    size_t spare = 0;
    std::string path;  // of a unix socket, which goes when the listener closes

    void close();
  };

  // ---- [any] for I/O threads
  const Settings& settings() const { return settings_; }
  void observe(Refusal refusal) {
    if (observer_) observer_(refusal);
  }
  bool reserve_body(size_t bytes);
  void release_body(size_t bytes) { bodies_.fetch_sub(bytes, std::memory_order_relaxed); }
  // The operator's listener has places of its own: who fills the others does not lock them out.
  bool enter_connection(const Listener& listener);
  void leave_connection() { connections_.fetch_sub(1, std::memory_order_acq_rel); }
  size_t exchanges() const;
  size_t connections() const { return connections_.load(std::memory_order_acquire); }

  // ---- what the host tells of itself; after run(), one reader
  struct Figures {
    uint64_t bytes_in = 0, bytes_out = 0, busy_ns = 0;
    uint64_t longest_batch_ns = 0;  // of the loops, since it was asked last
    size_t connections = 0, exchanges = 0, body_bytes = 0;
  };
  Figures figures() const;

  std::vector<Listener>& listeners() { return listeners_; }
  IoThread& least_loaded();

 private:
  class Reactor;

  const Settings settings_;
  Observer observer_;
  std::vector<Listener> listeners_;
  std::vector<std::unique_ptr<IoThread>> threads_;
  std::unique_ptr<Reactor> reactor_;
  std::atomic<size_t> bodies_{0}, connections_{0};
};

}  // namespace bulkhead::http
