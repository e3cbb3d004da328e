#include "core/http/watchdog.hpp"

#include <pthread.h>

#include <chrono>
#include <exception>
#include <utility>

#include "core/http/io_thread.hpp"
#include "core/runtime/clock.hpp"
#include "core/runtime/gate.hpp"

namespace bulkhead::http {

namespace {

constexpr uint64_t kLookMs = 25;
constexpr uint64_t kMs = 1'000'000;

}  // namespace

Watchdog::Watchdog(Server& server, const std::vector<std::unique_ptr<IoThread>>& threads,
                   std::function<void(const Blocked&)> observe)
    : server_(server), observe_(std::move(observe)), may_visit_(runtime::Gate::prepare()) {
  telemetry::prepare_probe();
  for (const auto& io : threads) watched_.push_back({io.get()});
  thread_ = std::thread([this] { work(); });
  pthread_setname_np(thread_.native_handle(), "bh-watchdog");
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Watchdog::work() {
  uint64_t last = runtime::now_ns();
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, std::chrono::milliseconds(kLookMs), [this] { return stopping_; })) {
    const uint64_t now = runtime::now_ns();
    // Where this thread was late too, the machine stood still, and no plugin is to blame.
    const bool late = now - last > 2 * kLookMs * kMs;
    last = now;
    if (late) continue;
    lock.unlock();
    for (Watched& each : watched_) {
      try {
        look_at(each, now);
      } catch (const std::exception&) {  // out of memory or descriptors: looks again soon
      }
    }
    lock.lock();
    last = runtime::now_ns();
  }
}

void Watchdog::look_at(Watched& watched, uint64_t now) {
  IoThread& io = *watched.io;
  const uint64_t since = io.working_since_ns();
  if (watched.since_ns != 0 && since != watched.since_ns) {
    io.set_blocked(false);
    watched.told.over = true;
    watched.told.for_ms = (now - watched.since_ns) / kMs;
    watched.since_ns = 0;
    if (observe_) observe_(watched.told);
  }
  if (since == 0 || now < since + kBlockedMs * kMs) return;
  const bool found = watched.since_ns == 0;
  if (found) {
    io.set_blocked(true);
    watched.since_ns = since;
    watched.told = {io.number(), (now - since) / kMs, false, 0, telemetry::ask_where(io.thread())};
    if (io.working_since_ns() != since) watched.told.where.reset();  // it went on meanwhile
  }
  server_.accept_elsewhere(io);
  // Also what came to it since: it looks no sooner.
  if (may_visit_) watched.told.handed_over += io.hand_over();
  if (!found) return;
  if (observe_) observe_(watched.told);
}

}  // namespace bulkhead::http
