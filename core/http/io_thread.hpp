// IoThread: what one reactor thread owns. Connections, free exchanges and slabs,
// deadlines, and an inbox through which other threads reach its exchanges.
#pragma once

#include <pistache/reactor.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "core/exchange/deadline.hpp"
#include "core/exchange/exchange.hpp"
#include "core/http/connection.hpp"
#include "core/http/response.hpp"
#include "core/http/server.hpp"
#include "core/http/settings.hpp"

// Pistache's common.h leaks these.
#undef TRY
#undef TRY_RET
#undef unreachable
#undef CAT
#undef UNIQUE_NAME

namespace bulkhead::http {

class IoThread final : public exchange::Home {
 public:
  IoThread(Server& server, size_t index);
  ~IoThread();

  void attach(Pistache::Polling::Epoll& poller);
  void on_ready(const Pistache::Aio::FdSet& fds);

  // ---- [any]
  void adopt(int fd, const Server::Listener& listener, std::string_view peer, uint32_t port);
  void call(std::function<void()> task);
  size_t load() const { return load_.load(std::memory_order_relaxed); }
  size_t exchanges() const { return exchanges_.load(std::memory_order_acquire); }
  // Since the last call of this function; one reader.
  uint64_t take_longest_batch_ns() { return longest_batch_ns_.exchange(0, std::memory_order_relaxed); }
  uint64_t busy_ns() const { return busy_ns_.load(std::memory_order_relaxed); }
  uint64_t bytes_in() const { return bytes_in_.load(std::memory_order_relaxed); }
  uint64_t bytes_out() const { return bytes_out_.load(std::memory_order_relaxed); }

  // ---- exchange::Home
  void post(exchange::Exchange* ex) override;
  bool on_thread() const override { return current_ == this; }
  void recycle(exchange::Exchange* ex) override;
  exchange::DeadlineQueue& deadlines() override { return deadlines_; }
  void body_released(size_t bytes) override { server_.release_body(bytes); }
  void timed_out(exchange::Exchange& ex) override;
  void give_slab(exchange::SlabRef slab) override { slabs_.give(std::move(slab)); }

  // ---- for connections
  Server& server() { return server_; }
  const Settings& settings() const { return server_.settings(); }
  exchange::SlabPool& slabs() { return slabs_; }
  exchange::Exchange* take_exchange();
  std::string_view date() { return date_.now(); }
  void count_in(size_t bytes) { add(bytes_in_, bytes); }
  void count_out(size_t bytes) { add(bytes_out_, bytes); }
  // When the events that are handled now were seen.
  uint64_t now_ns() const { return now_ns_; }
  // The runner's table. Its counter is this thread's own, so that taking it costs no shared cache
  // line.
  const std::shared_ptr<const chain::Table>& table(const chain::Runner& runner);
  uint64_t random();
  void watch(int fd, void* tag, bool read, bool write);
  void rearm(int fd, void* tag, bool read, bool write);
  void unwatch(int fd);
  void mark_dirty(Connection& connection);
  void bury(Connection& connection);
  // Answers what runs; idle connections close when `now` is set.
  void drain(bool now);
  // Closes every connection, whatever runs.
  void abort_all();
  // The poller is gone.
  void detach() { poller_ = nullptr; }
  // Accepts what has connected already, then closes the listening sockets. First thread only.
  void close_listeners();
  bool draining() const { return draining_; }
  bool closing_idle() const { return closing_idle_; }

 private:
  struct Published {
    const chain::Runner* runner;
    uint64_t generation;
    std::shared_ptr<const chain::Table> table;
  };

  // This thread alone writes.
  static void add(std::atomic<uint64_t>& sum, uint64_t more) {
    sum.store(sum.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  void drain_inbox();
  void run_calls();
  void arm_timer();
  void after_batch();
  // False once no connection waits, or none can be accepted.
  bool accept_from(size_t listener);
  void add(int fd, const Server::Listener& listener, std::string_view peer, uint32_t port);

  // Out of descriptors: listening stops for a moment instead of spinning.
  struct AcceptPause final : exchange::DeadlineEntry {
    explicit AcceptPause(IoThread& thread) : io(thread) {}
    void expired() override { io.watch_listeners(true); }
    IoThread& io;
  };
  void watch_listeners(bool on);
  AcceptPause accept_pause_{*this};

  Server& server_;
  Pistache::Polling::Epoll* poller_ = nullptr;
  int event_fd_ = -1, timer_fd_ = -1;
  uint64_t timer_armed_ns_ = exchange::DeadlineQueue::kNever;
  static inline thread_local IoThread* current_ = nullptr;

  std::atomic<exchange::Exchange*> inbox_{nullptr};
  std::mutex mutex_;
  std::vector<std::function<void()>> calls_;
  std::atomic<bool> has_calls_{false};
  std::atomic<size_t> load_{0}, exchanges_{0};  // the second is written by this thread alone

  std::atomic<uint64_t> bytes_in_{0}, bytes_out_{0}, busy_ns_{0}, longest_batch_ns_{0};

  exchange::DeadlineQueue deadlines_;
  exchange::SlabPool slabs_;
  std::vector<exchange::Exchange*> free_exchanges_;
  Connection* connections_ = nullptr;
  std::vector<Connection*> dirty_, buried_;
  DateCache date_;
  uint64_t random_state_, now_ns_ = 0, batch_began_ns_ = 0;
  std::vector<Published> tables_;
  bool draining_ = false, closing_idle_ = false, listening_ = false;
};

}  // namespace bulkhead::http
