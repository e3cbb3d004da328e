#include "lane.hpp"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>

#include "pool.hpp"

namespace database {

namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kStalled{3}, kTooLong{30};

}  // namespace

Lane::Lane(Pool& pool, const SessionSettings& session, size_t replica, size_t min, size_t max)
    : queue(*session.url.backend, pool.settings().batch),
      pool_(pool),
      session_(session),
      replica_(replica),
      min_(min),
      max_(max) {}

size_t Lane::cores() {
  static const size_t kCores = std::max<size_t>(2, std::thread::hardware_concurrency());
  return kCores;
}

bool Lane::overdue() const {
  const uint64_t queued = queue.oldest_ns(), now = pool_.host().now_ns();
  const auto passed = [now](uint64_t since, milliseconds limit) {
    return now > since && nanoseconds(now - since) > limit;
  };
  return passed(std::max(queued, taken_ns), kStalled) || passed(queued, kTooLong);
}

void Lane::spawn() {
  workers.remove_if([](Worker& worker) { return worker.finished(); });  // threads that ended when idle
  try {
    workers.emplace_back(pool_, *this).start();
  } catch (const std::system_error& error) {  // no more threads: those there are do the work
    pool_.host().warn("no thread for another database session", {{"reason", error.what()}});
    workers.pop_back();
    return;
  }
  ++running;
  ++connecting;
}

void Lane::wake_one() {
  Worker* worker = idle.back();
  idle.pop_back();
  ++awake;
  worker->signal();
}

// While the schema is being prepared no worker can take work, and one that wakes itself would keep
// the mutex for ever.
void Lane::dispatch() {
  if (queue.empty() || pool_.preparing()) return;
  if (idle.empty()) {
    if (running < max_ && connecting == 0 && (!enough_awake() || overdue())) spawn();
  } else if (!enough_awake()) {
    wake_one();
  } else if (!standby) {
    standby = true;
    idle.back()->stand_by();
    wake_one();
  }
}

}  // namespace database
