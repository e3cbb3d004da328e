#include "core/http/io_thread.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/chain/problem.hpp"
#include "core/runtime/clock.hpp"

namespace bulkhead::http {

using exchange::Exchange;
using Pistache::Flags;
using Pistache::Polling::NotifyOn;
using Pistache::Polling::Tag;

namespace {

// Tags of what is no connection; a connection's tag is its address.
enum : uint64_t { kEventTag = 1, kTimerTag = 2, kListenerTag = 3 };
constexpr size_t kMaxFreeExchanges = 1024;
constexpr uint32_t kAcceptPauseMs = 100;

Flags<NotifyOn> interest(bool read, bool write) {
  Flags<NotifyOn> flags;
  if (read) flags |= NotifyOn::Read;
  if (write) flags |= NotifyOn::Write;
  return flags;
}

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

// Out of memory: this connection pays, the others go on.
template <typename Work>
void guarded(Connection& connection, Work work) {
  try {
    work();
  } catch (const std::exception&) {
    connection.abort();
  }
}

}  // namespace

IoThread::IoThread(Server& server, size_t index) : Home(index), server_(server) {
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
    ex->forget_attachments();
    if (ex->unreferenced())
      recycle(ex);
    else
      ex->unref();
    ex = next;
  }
  for (Exchange* ex : free_exchanges_) delete ex;
  current_ = nullptr;
  ::close(event_fd_);
  ::close(timer_fd_);
}

void IoThread::attach(Pistache::Polling::Epoll& poller) {
  poller_ = &poller;
  poller.addFd(event_fd_, interest(true, false), Tag(kEventTag));
  poller.addFd(timer_fd_, interest(true, false), Tag(kTimerTag));
  if (number() == 0) watch_listeners(true);
}

uint64_t IoThread::random() {  // splitmix64
  uint64_t z = (random_state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// ------------------------------------------------------------------- polling

void IoThread::watch(int fd, void* tag, bool read, bool write) {
  poller_->addFd(fd, interest(read, write), Tag(reinterpret_cast<uint64_t>(tag)));
}
void IoThread::rearm(int fd, void* tag, bool read, bool write) {
  poller_->rearmFd(fd, interest(read, write), Tag(reinterpret_cast<uint64_t>(tag)));
}
void IoThread::unwatch(int fd) {
  if (poller_ != nullptr) poller_->removeFd(fd);
}

void IoThread::on_ready(const Pistache::Aio::FdSet& fds) {
  current_ = this;
  now_ns_ = batch_began_ns_ = runtime::now_ns();
  for (const auto& entry : fds) {
    const uint64_t tag = entry.getTag().value();
    if (tag == kEventTag) {
      uint64_t count = 0;
      [[maybe_unused]] const ssize_t n = ::read(event_fd_, &count, sizeof count);
      drain_inbox();
      run_calls();
    } else if (tag == kTimerTag) {
      uint64_t count = 0;
      [[maybe_unused]] const ssize_t n = ::read(timer_fd_, &count, sizeof count);
      timer_armed_ns_ = exchange::DeadlineQueue::kNever;
      deadlines_.expire(now_ns_);
    } else if ((tag & 3) == kListenerTag) {
      accept_from(tag >> 2);
    } else {
      auto& connection = *reinterpret_cast<Connection*>(tag);
      guarded(connection, [&] {
        if (entry.isWritable()) connection.writable();
        if (entry.isReadable())
          connection.readable();
        else if (!entry.isWritable())
          connection.hung_up();
      });
    }
  }
  after_batch();
}

void IoThread::after_batch() {
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
    ex.queued.exchange(false,
                       std::memory_order_acq_rel);  // a full fence: what is read next is at least as new as the wake
    ex.run_calls();
    try {
      ex.runner->advance(ex);
    } catch (const std::exception&) {  // out of memory, as in guarded()
      if (ex.channel != nullptr) ex.channel->failed();
    }
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

void IoThread::timed_out(Exchange& ex) { ex.runner->timed_out(ex); }

// ----------------------------------------------------------------- exchanges

Exchange* IoThread::take_exchange() {
  Exchange* ex = nullptr;
  if (free_exchanges_.empty()) {
    ex = new Exchange(*this);
  } else {
    ex = free_exchanges_.back();
    free_exchanges_.pop_back();
  }
  ex->ref();
  exchanges_.store(exchanges_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return ex;
}

void IoThread::recycle(Exchange* ex) {
  ex->reset();
  exchanges_.store(exchanges_.load(std::memory_order_relaxed) - 1, std::memory_order_release);
  if (free_exchanges_.size() < kMaxFreeExchanges)
    free_exchanges_.push_back(ex);
  else
    delete ex;
}

// --------------------------------------------------------------- connections

void IoThread::mark_dirty(Connection& connection) {
  if (connection.dirty) return;
  connection.dirty = true;
  dirty_.push_back(&connection);
}

void IoThread::bury(Connection& connection) {
  (connection.previous != nullptr ? connection.previous->next : connections_) = connection.next;
  if (connection.next != nullptr) connection.next->previous = connection.previous;
  load_.fetch_sub(1, std::memory_order_relaxed);
  server_.leave_connection();
  buried_.push_back(&connection);
}

void IoThread::add(int fd, const Server::Listener& listener, std::string_view peer, uint32_t port) {
  std::unique_ptr<Connection> made;
  try {
    std::unique_ptr<tls::Session> session = listener.tls ? listener.tls->accept(fd) : nullptr;
    if (!listener.tls || session)
      made = std::make_unique<Connection>(*this, *listener.runner, fd, std::move(session), peer, port);
  } catch (const std::bad_alloc&) {
  }
  if (!made) {
    load_.fetch_sub(1, std::memory_order_relaxed);
    server_.leave_connection();
    ::close(fd);
    return;
  }
  Connection& connection = *made.release();
  connection.next = connections_;
  if (connections_ != nullptr) connections_->previous = &connection;
  connections_ = &connection;
  guarded(connection, [&] { connection.start(); });
}

void IoThread::adopt(int fd, const Server::Listener& listener, std::string_view peer, uint32_t port) {
  load_.fetch_add(1, std::memory_order_relaxed);
  if (on_thread()) return add(fd, listener, peer, port);
  call([this, fd, &listener, peer = std::string(peer), port] { add(fd, listener, peer, port); });
}

void IoThread::watch_listeners(bool on) {
  if (listening_ == on) return;
  listening_ = on;
  const auto& listeners = server_.listeners();
  for (size_t i = 0; i < listeners.size(); ++i) {
    if (on)
      poller_->addFd(listeners[i].fd, interest(true, false), Tag((i << 2) | kListenerTag));
    else
      poller_->removeFd(listeners[i].fd);
  }
}

bool IoThread::accept_from(size_t index) {
  if (!listening_) return false;
  static constexpr std::string_view kFull =
      "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
  static constexpr int kPerWake = 64;
  const Server::Listener& listener = server_.listeners()[index];
  for (int i = 0; i < kPerWake; ++i) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    const int fd = ::accept4(listener.fd, reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        server_.observe(Refusal::kDescriptors);
        watch_listeners(false);
        deadlines_.arm(accept_pause_, now_ns_, kAcceptPauseMs);
      }
      return false;
    }
    if (!server_.enter_connection(listener)) {
      server_.observe(Refusal::kConnections);
      if (!listener.tls) {
        [[maybe_unused]] const ssize_t n = ::send(fd, kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      }
      ::close(fd);
      continue;
    }
    uint32_t port = 0;
    const std::string peer = peer_text(address, &port);
    server_.least_loaded().adopt(fd, listener, peer, port);
  }
  return true;
}

void IoThread::close_listeners() {
  deadlines_.disarm(accept_pause_);
  watch_listeners(true);
  for (size_t i = 0; i < server_.listeners().size(); ++i)
    while (accept_from(i)) {
    }
  deadlines_.disarm(accept_pause_);
  watch_listeners(false);
  for (Server::Listener& listener : server_.listeners()) listener.close();
}

void IoThread::abort_all() {
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
