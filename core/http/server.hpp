// Server: listening sockets, I/O threads, limits that span them.
//
// Life: listen() as often as needed, run(), drain(). Everything the host serves
// comes through a chain::Runner, one per listener.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/chain/runner.hpp"
#include "core/http/listen_address.hpp"
#include "core/http/loop.hpp"
#include "core/http/quota.hpp"
#include "core/http/settings.hpp"
#include "core/http/tls.hpp"

namespace bulkhead::http {

class IoThread;
class Watchdog;
struct Blocked;

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
  using BlockedObserver = std::function<void(const Blocked&)>;  // a thread of its own calls it

  Server(const Settings& settings, Observer observer, BlockedObserver blocked);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Under TLS where a context is given. `spare` connections are taken past the limit, and where
  // there are any, an I/O thread is theirs alone. Empty on success, else why not.
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
  Quota& bodies() { return bodies_; }  // bytes
  Quota& connections() { return connections_; }
  size_t exchanges() const;

  // ---- what the host tells of itself; after run(), one reader
  struct Figures {
    uint64_t bytes_in = 0, bytes_out = 0, busy_ns = 0;
    uint64_t longest_batch_ns = 0;  // of the loops, since it was asked last
    size_t connections = 0, exchanges = 0, body_bytes = 0;
  };
  Figures figures() const;

  std::vector<Listener>& listeners() { return listeners_; }
  // Of those that serve everybody and are not held up, where there is one.
  IoThread& least_loaded();
  // Whether connections of the listener come in on that thread.
  bool accepts(const IoThread& io, const Listener& listener) const;
  // [any] The thread is held up: another one accepts in its place.
  void accept_elsewhere(IoThread& io);

 private:
  const Settings settings_;
  Observer observer_;
  BlockedObserver blocked_;
  std::vector<Listener> listeners_;
  Quota bodies_, connections_;
  std::vector<std::unique_ptr<IoThread>> threads_;  // settings_.io_threads, then the operator's
  std::unique_ptr<LoopThreads> loop_;
  std::unique_ptr<Watchdog> watchdog_;
  std::mutex mutex_;  // who accepts
  bool draining_ = false;
};

}  // namespace bulkhead::http
