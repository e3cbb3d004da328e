// IoThread: what one thread of the loop owns. Connections, free runs and slabs, deadlines, and an
// inbox through which other threads reach its exchanges.
#pragma once

#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "core/chain/run.hpp"
#include "core/http/acceptor.hpp"
#include "core/http/arrival.hpp"
#include "core/http/connection.hpp"
#include "core/http/date.hpp"
#include "core/http/loop.hpp"
#include "core/http/server.hpp"
#include "core/http/settings.hpp"
#include "core/runtime/deadline.hpp"
#include "core/runtime/slab.hpp"

namespace bulkhead::http {

class IoThread final : public exchange::Home, public LoopThread {
 public:
  IoThread(Server& server, size_t index);
  ~IoThread();

  // ---- [any]
  void adopt(Arrival arrival);
  void call(std::function<void()> task);
  size_t load() const { return load_.load(std::memory_order_relaxed); }
  size_t exchanges() const { return exchanges_.load(std::memory_order_acquire); }
  // Held up: nothing new is given to it.
  bool blocked() const { return blocked_.load(std::memory_order_relaxed); }
  // Since the last call of this function; one reader.
  uint64_t take_longest_batch_ns() { return longest_batch_ns_.exchange(0, std::memory_order_relaxed); }
  uint64_t busy_ns() const { return busy_ns_.load(std::memory_order_relaxed); }
  uint64_t bytes_in() const { return bytes_in_.load(std::memory_order_relaxed); }
  uint64_t bytes_out() const { return bytes_out_.load(std::memory_order_relaxed); }

  // ---- for the watchdog
  // Since when it works without looking for events, 0: it waits for some.
  uint64_t working_since_ns() const { return working_since_ns_.load(std::memory_order_acquire); }
  pthread_t thread() const { return thread_; }  // once it has worked
  void set_blocked(bool on) { blocked_.store(on, std::memory_order_relaxed); }
  // It is held up: gives connections on which no request runs to other threads. How many.
  size_t hand_over();

  // ---- LoopThread
  void begin(Loop& loop) override;
  void ended() override;
  void batch_began() override;
  void ready(uint64_t tag, bool readable, bool writable) override;
  void batch_ended() override;

  // ---- exchange::Home
  void post(exchange::Exchange* ex) override;
  bool on_thread() const override { return current_ == this; }
  void recycle(exchange::Exchange* ex) override;
  runtime::DeadlineQueue& deadlines() override { return deadlines_; }
  void body_released(size_t bytes) override { server_.bodies().give(bytes); }
  void give_slab(runtime::SlabRef slab) override { slabs_.give(std::move(slab)); }

  // ---- for connections and their protocols
  Server& server() { return server_; }
  const Settings& settings() const { return server_.settings(); }
  runtime::SlabPool& slabs() { return slabs_; }
  // A run of the runner's table, started and referenced once.
  chain::Run* take_run(chain::Runner& runner, chain::Channel& channel);
  std::string_view date() { return date_.now(); }
  void count_in(size_t bytes) { add(bytes_in_, bytes); }
  void count_out(size_t bytes) { add(bytes_out_, bytes); }
  // When the events that are handled now were seen.
  uint64_t now_ns() const { return now_ns_; }
  uint64_t random();
  void watch(int fd, Connection* connection, bool read, bool write) {
    loop_->watch(fd, tag_of(connection), read, write);
  }
  void rearm(int fd, Connection* connection, bool read, bool write) {
    loop_->rearm(fd, tag_of(connection), read, write);
  }
  void unwatch(int fd) {
    if (loop_ != nullptr) loop_->unwatch(fd);
  }
  // Its pump() runs before the thread waits again.
  void mark_dirty(Connection& connection);
  // It is closed: its memory goes when nothing looks at it any more.
  void bury(Connection& connection);
  // The same of one that goes on elsewhere.
  void part_with(Connection& connection);

  // ---- for the server
  // Answers what runs; idle connections close when `now` is set.
  void drain(bool now);
  // Closes every connection, whatever runs.
  void abort_all();
  Acceptor& acceptor() { return acceptor_; }
  bool draining() const { return draining_; }
  bool closing_idle() const { return closing_idle_; }

 private:
  struct Published {
    const chain::Runner* runner;
    uint64_t generation;
    std::shared_ptr<const chain::Table> table;
  };

  static uint64_t tag_of(Connection* connection) { return reinterpret_cast<uint64_t>(connection); }
  // This thread alone writes.
  static void add(std::atomic<uint64_t>& sum, uint64_t more) {
    sum.store(sum.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  // Out of memory: this connection pays, the others go on.
  template <typename Work>
  void guarded(Connection& connection, Work work);
  void drain_inbox();
  void run_calls();
  void take_arrivals();
  void arm_timer();
  void add(Arrival arrival);
  // The runner's table. Its counter is this thread's own, so that taking it costs no shared cache
  // line.
  const std::shared_ptr<const chain::Table>& table(const chain::Runner& runner);

  Server& server_;
  Loop* loop_ = nullptr;
  int event_fd_ = -1, timer_fd_ = -1;
  uint64_t timer_armed_ns_ = runtime::DeadlineQueue::kNever;
  static inline thread_local IoThread* current_ = nullptr;

  std::atomic<exchange::Exchange*> inbox_{nullptr};
  std::mutex mutex_;
  std::vector<std::function<void()>> calls_;
  std::vector<Arrival> arrivals_;
  std::atomic<bool> has_calls_{false}, has_arrivals_{false}, blocked_{false};
  std::atomic<uint64_t> working_since_ns_{0};
  pthread_t thread_{};
  std::atomic<size_t> load_{0}, exchanges_{0};  // the second is written by this thread alone
  std::atomic<uint64_t> bytes_in_{0}, bytes_out_{0}, busy_ns_{0}, longest_batch_ns_{0};

  runtime::DeadlineQueue deadlines_;
  runtime::SlabPool slabs_;
  Acceptor acceptor_;
  std::vector<chain::Run*> free_runs_;
  Connection* connections_ = nullptr;
  Connection* at_work_ = nullptr;  // whose turn it is
  std::vector<Connection*> dirty_, buried_;
  DateCache date_;
  uint64_t random_state_, now_ns_ = 0, batch_began_ns_ = 0;
  std::vector<Published> tables_;
  bool draining_ = false, closing_idle_ = false;
};

}  // namespace bulkhead::http
