#include "core/http/io_thread.hpp"

#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <exception>
#include <new>
#include <utility>

#include "core/runtime/checks.hpp"
#include "core/runtime/clock.hpp"
#include "core/runtime/host_thread.hpp"

namespace bulkhead::http {

using exchange::Exchange;

namespace {

// Tags of what is no connection and no listener; a connection's tag is its address.
enum : uint64_t { kEventTag = 1, kTimerTag = 2 };
constexpr size_t kMaxFreeRuns = 1024, kMostHandedOver = 1024;

}  // namespace

template <typename Work>
void IoThread::guarded(Connection& connection, Work work) {
  at_work_ = &connection;
  try {
    work();
  } catch (const std::exception&) {
    connection.abort();
  }
  at_work_ = nullptr;
}

IoThread::IoThread(Server& server, size_t index) : Home(index), server_(server), acceptor_(*this, server) {
  event_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  timer_fd_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (::getrandom(&random_state_, sizeof random_state_, 0) != static_cast<ssize_t>(sizeof random_state_))
    random_state_ = runtime::now_ns() ^ reinterpret_cast<uintptr_t>(this);
}

IoThread::~IoThread() {
  current_ = this;
  abort_all();
  for (Connection* connection : buried_) delete connection;
  // The plugins are gone: what is still queued is let go, nothing of it runs.
  for (Exchange* ex = inbox_.exchange(nullptr, std::memory_order_acquire); ex != nullptr;) {
    Exchange* next = ex->next_queued;
    ex->notes.forget_attachments();
    if (ex->unreferenced())
      recycle(ex);
    else
      ex->unref();
    ex = next;
  }
  for (chain::Run* run : free_runs_) delete run;
  current_ = nullptr;
  ::close(event_fd_);
  ::close(timer_fd_);
}

void IoThread::begin(Loop& loop) {
  loop_ = &loop;
  loop.watch(event_fd_, kEventTag, true, false);
  loop.watch(timer_fd_, kTimerTag, true, false);
  acceptor_.begin(loop);
}

void IoThread::ended() {
  loop_ = nullptr;
  acceptor_.ended();
}

uint64_t IoThread::random() {  // splitmix64
  uint64_t z = (random_state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// -------------------------------------------------------------------- events

void IoThread::batch_began() {
  current_ = this;
  now_ns_ = batch_began_ns_ = runtime::now_ns();
  if (loop_ != nullptr && thread_ == pthread_t{}) {
    runtime::become_host_thread();
    thread_ = ::pthread_self();
  }
  working_since_ns_.store(now_ns_, std::memory_order_release);
}

void IoThread::ready(uint64_t tag, bool readable, bool writable) {
  uint64_t count = 0;
  if (tag == kEventTag) {
    [[maybe_unused]] const ssize_t n = ::read(event_fd_, &count, sizeof count);
    drain_inbox();
    run_calls();
    take_arrivals();
  } else if (tag == kTimerTag) {
    [[maybe_unused]] const ssize_t n = ::read(timer_fd_, &count, sizeof count);
    timer_armed_ns_ = runtime::DeadlineQueue::kNever;
    deadlines_.expire(now_ns_);
  } else if (Acceptor::owns(tag)) {
    acceptor_.ready(tag);
  } else {
    auto& connection = *reinterpret_cast<Connection*>(tag);
    guarded(connection, [&] {
      if (writable) connection.writable();
      if (readable)
        connection.readable();
      else if (!writable)
        connection.hung_up();
    });
  }
}

void IoThread::batch_ended() {
  now_ns_ = runtime::now_ns();  // a step may have taken its time
  while (!dirty_.empty()) {
    std::vector<Connection*> batch;
    batch.swap(dirty_);
    for (Connection* connection : batch) {
      connection->dirty = false;
      guarded(*connection, [&] { connection->pump(); });
    }
    batch.clear();
    if (dirty_.empty()) dirty_.swap(batch);  // keeps the capacity
  }
  for (Connection* connection : buried_) delete connection;
  buried_.clear();
  arm_timer();
  const uint64_t took = runtime::now_ns() - batch_began_ns_;
  add(busy_ns_, took);
  if (took > longest_batch_ns_.load(std::memory_order_relaxed))
    longest_batch_ns_.store(took, std::memory_order_relaxed);
  working_since_ns_.store(0, std::memory_order_release);
}

void IoThread::arm_timer() {
  const uint64_t next = deadlines_.next_ns();
  if (next >= timer_armed_ns_) return;  // it fires before, and looks again then
  itimerspec at{};
  at.it_value.tv_sec = static_cast<time_t>(next / 1'000'000'000);
  at.it_value.tv_nsec = static_cast<long>(next % 1'000'000'000);
  ::timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &at, nullptr);
  timer_armed_ns_ = next;
}

const std::shared_ptr<const chain::Table>& IoThread::table(const chain::Runner& runner) {
  const uint64_t generation = runner.generation();
  for (Published& each : tables_) {
    if (each.runner != &runner) continue;
    if (each.generation != generation) {
      auto table = runner.table();
      each = {&runner, generation, {table.get(), [table](const chain::Table*) {}}};
    }
    return each.table;
  }
  tables_.push_back({&runner, generation - 1, nullptr});
  return table(runner);
}

// --------------------------------------------------------------------- inbox

void IoThread::post(Exchange* ex) {
  Exchange* head = inbox_.load(std::memory_order_relaxed);
  do ex->next_queued = head;
  while (!inbox_.compare_exchange_weak(head, ex, std::memory_order_release, std::memory_order_relaxed));
  if (head != nullptr) return;  // the thread has been woken already
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event_fd_, &one, sizeof one);
}

void IoThread::drain_inbox() {
  Exchange* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
  Exchange* oldest = nullptr;
  while (newest != nullptr) {
    Exchange* next = newest->next_queued;
    newest->next_queued = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    Exchange& ex = *oldest;
    oldest = ex.next_queued;
    if (ex.unreferenced()) {
      recycle(&ex);
      continue;
    }
    ex.woken();
    ex.unref();
  }
}

void IoThread::call(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(task));
  }
  has_calls_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event_fd_, &one, sizeof one);
}

void IoThread::run_calls() {
  if (!has_calls_.exchange(false, std::memory_order_acq_rel)) return;
  std::vector<std::function<void()>> calls;
  {
    const std::lock_guard lock(mutex_);
    calls.swap(calls_);
  }
  now_ns_ = runtime::now_ns();
  for (const auto& task : calls) task();
}

// ---------------------------------------------------------------------- runs

chain::Run* IoThread::take_run(chain::Runner& runner, chain::Channel& channel) {
  const std::shared_ptr<const chain::Table>& with = table(runner);
  chain::Run* run = nullptr;
  if (free_runs_.empty() || (runtime::checked() && free_runs_.size() < kMaxFreeRuns / 2)) {
    run = new chain::Run(*this);
  } else {
    run = free_runs_.back();
    free_runs_.pop_back();
  }
  run->ref();
  run->start(runner, channel, with);
  exchanges_.store(exchanges_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return run;
}

void IoThread::recycle(Exchange* ex) {
  auto* run = static_cast<chain::Run*>(ex);
  run->clear();
  exchanges_.store(exchanges_.load(std::memory_order_relaxed) - 1, std::memory_order_release);
  // In checked mode each waits for its turn again, so that a stale handle is known as one.
  if (free_runs_.size() < kMaxFreeRuns)
    free_runs_.insert(runtime::checked() ? free_runs_.begin() : free_runs_.end(), run);
  else
    delete run;
}

// --------------------------------------------------------------- connections

void IoThread::mark_dirty(Connection& connection) {
  if (connection.dirty) return;
  connection.dirty = true;
  dirty_.push_back(&connection);
}

void IoThread::bury(Connection& connection) {
  part_with(connection);
  server_.connections().give(1);
}

void IoThread::part_with(Connection& connection) {
  (connection.previous != nullptr ? connection.previous->next : connections_) = connection.next;
  if (connection.next != nullptr) connection.next->previous = connection.previous;
  load_.fetch_sub(1, std::memory_order_relaxed);
  buried_.push_back(&connection);
}

void IoThread::add(Arrival arrival) {
  std::unique_ptr<Connection> made;
  try {
    const bool secure = arrival.tls != nullptr && arrival.stream.tls() == nullptr;
    if (secure) arrival.stream.secure(arrival.tls->accept(arrival.stream.fd()));
    if (!secure || arrival.stream.tls() != nullptr) made = std::make_unique<Connection>(*this, std::move(arrival));
  } catch (const std::bad_alloc&) {
  }
  if (!made) {
    load_.fetch_sub(1, std::memory_order_relaxed);
    server_.connections().give(1);
    return;
  }
  Connection& connection = *made.release();
  connection.next = connections_;
  if (connections_ != nullptr) connections_->previous = &connection;
  connections_ = &connection;
  guarded(connection, [&] { connection.start(); });
}

void IoThread::adopt(Arrival arrival) {
  load_.fetch_add(1, std::memory_order_relaxed);
  if (on_thread()) return add(std::move(arrival));
  {
    const std::lock_guard lock(mutex_);
    arrivals_.push_back(std::move(arrival));
    if (arrivals_.size() != 1) return;  // the thread has been woken already
  }
  has_arrivals_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event_fd_, &one, sizeof one);
}

void IoThread::take_arrivals() {
  if (!has_arrivals_.exchange(false, std::memory_order_acq_rel)) return;
  std::vector<Arrival> arrivals;
  {
    const std::lock_guard lock(mutex_);
    arrivals.swap(arrivals_);
  }
  now_ns_ = runtime::now_ns();
  for (Arrival& each : arrivals) add(std::move(each));
}

size_t IoThread::hand_over() {
  if (server_.least_loaded().blocked()) return 0;  // nowhere is better than here
  std::vector<Arrival> leaving;
  {
    const std::lock_guard lock(mutex_);
    leaving.swap(arrivals_);
  }
  load_.fetch_sub(leaving.size(), std::memory_order_relaxed);
  gate().visit([&] {
    for (Connection* connection = connections_; connection != nullptr && leaving.size() < kMostHandedOver;) {
      Connection* next = connection->next;
      if (!draining_ && connection != at_work_)
        if (auto arrival = connection->leave()) leaving.push_back(std::move(*arrival));
      connection = next;
    }
  });
  for (Arrival& each : leaving) server_.least_loaded().adopt(std::move(each));
  return leaving.size();
}

void IoThread::abort_all() {
  draining_ = closing_idle_ = true;
  while (connections_ != nullptr) connections_->abort();
}

void IoThread::drain(bool now) {
  draining_ = true;
  closing_idle_ = closing_idle_ || now;
  for (Connection* connection = connections_; connection != nullptr;) {
    Connection* next = connection->next;
    connection->drain(now);
    connection = next;
  }
}

}  // namespace bulkhead::http
