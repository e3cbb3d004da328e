#include "pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <system_error>

#include "result.hpp"

namespace database {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

namespace {

constexpr milliseconds kFirstRetry{50}, kLastRetry{2000}, kIdle{60'000}, kCheck{2000}, kPatience{1000}, kStalled{3},
    kTooLong{30};
const std::string kPoolerMet =
    "a pooler stands between this host and PostgreSQL: statements are not prepared, and neither LISTEN nor a session's "
    "settings can be relied on; give the server's own address as direct_url";

}  // namespace

Pool::Pool(const bulkhead::Host& host, PoolSettings settings)
    : host_(host),
      settings_(std::move(settings)),
      spans_(host, settings_.session.url, !settings_.replicas.empty()),
      busy_enough_(std::max<size_t>(2, std::thread::hardware_concurrency())) {
  const bool sqlite = settings_.session.url.dialect == Dialect::kSqlite;
  lanes_ = std::vector<Lane>(sqlite ? 2 : 1 + settings_.replicas.size());
  for (size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    lane.session = &settings_.session;
    lane.min = sqlite && i == 0 ? 1 : settings_.min;
    lane.max = sqlite && i == 0 ? 1 : settings_.max;
    if (sqlite || i == 0) continue;
    lane.replica = i - 1;
    lane.session = &settings_.replicas[i - 1];
  }
  if (!settings_.replicas.empty())
    replicas_ =
        std::make_unique<Replicas>(host_, settings_.direct ? *settings_.direct : settings_.session, settings_.replicas,
                                   settings_.replica_lag_ms, [this](size_t replica) { leave_replica(replica); });

  static constexpr std::array<double, 4> kBuckets = {.001, .01, .1, 1};
  static constexpr std::array<std::string_view, 1> kService = {"service"}, kType = {"query_type"};
  const std::array<std::string_view, 1> service = {settings_.service};
  size_series_ =
      host_.series(host_.metric(BH_GAUGE, "db_pool_size", "Connected database sessions.", kService), service);
  available_series_ = host_.series(
      host_.metric(BH_GAUGE, "db_pool_available_connections", "Connected database sessions that are idle.", kService),
      service);
  const uint32_t latency = host_.metric(BH_HISTOGRAM, "db_query_latency_seconds",
                                        "Time from sending a query to its result.", kType, kBuckets);
  static constexpr std::array<std::string_view, 6> kTypes = {"select", "insert",      "update",
                                                             "delete", "transaction", "lookup"};
  for (size_t i = 0; i < kTypes.size(); ++i) latency_series_[i] = host_.series(latency, {&kTypes[i], 1});
  static constexpr std::array<std::string_view, 2> kTogether = {"lookup", "write"};
  static constexpr std::array<double, 8> kSizes = {1, 2, 4, 8, 16, 32, 64, 128};
  const uint32_t sizes =
      host_.metric(BH_HISTOGRAM, "db_batch_size", "Lookups of one query, writes of one transaction.", kType, kSizes);
  for (size_t i = 0; i < kTogether.size(); ++i) batch_series_[i] = host_.series(sizes, {&kTogether[i], 1});
}

void Pool::start() {
  const std::lock_guard lock(mutex_);
  started_ = true;
  host_.health(BH_STARTING, why_down_);
  for (Lane& lane : lanes_)
    for (size_t i = 0; i < lane.min; ++i) spawn(lane);
  if (replicas_) replicas_->start();
  static constexpr uint64_t kEveryMs = 1000;
  watch_timer_ = host_.every(kEveryMs, [this] { watch(); });
}

// A server that hangs cancels no statement at its timeout, and refuses no connection.
void Pool::watch() {
  static constexpr seconds kOnTheWay{2};
  const auto before =
      std::chrono::steady_clock::now() - milliseconds(settings_.session.statement_timeout_ms) - kOnTheWay;
  std::unique_lock lock(mutex_);
  drop_waiting_reads(lock);
  cancel_reads();
  if (settings_.session.url.dialect != Dialect::kPostgresql) return;
  tell_health();
  for (Lane& lane : lanes_)
    for (Worker& worker : lane.workers) worker.session.interrupt_hung(before);
  if (!down_ && nanoseconds(host_.now_ns() - cut_ns_) > kPatience) go_down(lock);
}

void Pool::drop_waiting_reads(std::unique_lock<std::mutex>& lock) {
  std::vector<std::unique_ptr<Job>> dropped;
  for (Lane& lane : lanes_) {
    for (auto& job : lane.waiting)
      if (job->reads_alone() && left(job->query.ex)) dropped.push_back(std::move(job));
    const size_t before = lane.waiting.size();
    std::erase(lane.waiting, nullptr);
    lane.waiting_size -= before - lane.waiting.size();
  }
  if (dropped.empty()) return;
  ++busy_;
  lock.unlock();
  for (const auto& job : dropped) finish(*job, caller_left());
  lock.lock();
  if (--busy_ == 0) quiet_.notify_all();
}

// On a detached thread: a server that hangs takes a cancel request and never answers it.
void Pool::cancel_reads() {
  if (cancelling_.valid() && cancelling_.wait_for(seconds(0)) != std::future_status::ready) return;
  std::vector<std::function<void()>> requests;
  std::promise<void> sent;
  const std::shared_future<void> cancelling = sent.get_future().share();
  for (Lane& lane : lanes_)
    for (Worker& worker : lane.workers) {
      if (!left(worker.reads_for)) continue;
      worker.reads_for = nullptr;
      if (auto request = worker.session.cancel_request()) {
        requests.push_back(std::move(request));
        worker.cancelled = cancelling;
      }
    }
  if (requests.empty()) return;
  cancelling_ = cancelling;
  try {
    std::thread([requests = std::move(requests), sent = std::move(sent)]() mutable {
      for (const auto& request : requests) request();
      sent.set_value();
    }).detach();
  } catch (const std::system_error&) {  // no thread: the statements run to their timeouts
  }
}

void Pool::quiesce() {
  watch_timer_ = {};
  if (replicas_) replicas_->stop();
  {
    std::unique_lock lock(mutex_);
    draining_ = true;
    refuse_waiting("the host is stopping", true, lock);
    while (!quiet_.wait_for(lock, kPatience, [this] { return busy_ == 0; })) {
      for (Lane& lane : lanes_)
        for (Worker& worker : lane.workers) worker.session.interrupt();
      if (direct_ != nullptr) direct_->interrupt();
    }
  }
  const Outcome outcome = unavailable("the host is stopping");
  const bh_sql_result result = result_of(outcome);
  for (Migrations::Set& set : migrations_.sets())
    if (const auto done = std::exchange(set.done, nullptr); done != nullptr) done(set.arg, &result);
}

void Pool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (Lane& lane : lanes_)
      for (Worker& worker : lane.workers) {
        worker.signalled = true;
        worker.wake.notify_one();
      }
    migrated_.notify_all();
  }
  for (Lane& lane : lanes_)
    for (Worker& worker : lane.workers)
      if (worker.thread.joinable()) worker.thread.join();
}

// -------------------------------------------------------------------- workers

void Pool::wake(Lane& lane) {
  Worker* worker = lane.idle.back();
  lane.idle.pop_back();
  ++lane.awake;
  worker->signalled = true;
  worker->wake.notify_one();
}

// No work was taken for a moment, or the oldest waits for long all the same: the workers awake are
// blocked on something else than the cores.
bool Pool::overdue(const Lane& lane) const {
  const uint64_t queued = lane.waiting.front()->queued_ns, now = host_.now_ns();
  const auto passed = [now](uint64_t since, milliseconds limit) {
    return now > since && nanoseconds(now - since) > limit;
  };
  return passed(std::max(queued, lane.taken_ns), kStalled) || passed(queued, kTooLong);
}

// Finds a worker for the job that has just come, or one that watches how long it waits. While the
// schema is being prepared no worker can take it, and one that wakes itself would keep `mutex_` for
// ever.
void Pool::dispatch(Lane& lane) {
  if (migrations_.pending()) return;
  const bool enough = lane.awake >= busy_enough_;
  if (lane.idle.empty()) {
    if (lane.running < lane.max && lane.connecting == 0 && (!enough || overdue(lane))) spawn(lane);
  } else if (!enough) {
    wake(lane);
  } else if (!lane.standby) {
    lane.standby = lane.idle.back()->stands_by = true;
    wake(lane);
  }
}

void Pool::spawn(Lane& lane) {
  for (auto it = lane.workers.begin(); it != lane.workers.end();) {  // threads that ended when idle
    if (!it->finished) {
      ++it;
      continue;
    }
    it->thread.join();
    it = lane.workers.erase(it);
  }
  Worker& worker = lane.workers.emplace_back(lane, *lane.session);
  try {
    worker.thread = std::thread([this, &lane, &worker] { work(lane, worker); });
  } catch (const std::system_error& error) {  // no more threads: those there are do the work
    host_.warn("no thread for another database session", {{"reason", error.what()}});
    lane.workers.pop_back();
    return;
  }
  ++lane.running;
  ++lane.connecting;
  pthread_setname_np(worker.thread.native_handle(), "bh-database");
}

bool Pool::connect_once(Worker& worker) {
  const Outcome outcome = worker.session.connect();
  std::unique_lock lock(mutex_);
  if (outcome.status == BH_OK) {
    count_connected(worker.lane, 1);
    return true;
  }
  if (worker.lane.replica == kNone && !worker.lane.session->stopping.stop_requested()) {
    why_down_ = outcome.message;
    go_down(lock);
  }
  return false;
}

// Connects with back-off. False when stopping. `lock` is held on entry and exit.
bool Pool::connect(Lane& lane, Worker& worker, std::unique_lock<std::mutex>& lock) {
  milliseconds pause = kFirstRetry;
  --lane.awake;
  while (!stopping_) {
    lock.unlock();
    const bool connected = connect_once(worker);
    lock.lock();
    if (connected) {
      ++lane.awake;
      return true;
    }
    if (lane.connected != 0 && lane.running > lane.min) {  // the server takes no more sessions
      leave(lane, worker);
      break;
    }
    worker.signalled = false;
    const bool nobody = lane.connected == 0;
    worker.wake.wait_for(lock, pause, [&] { return stopping_ || (nobody && lane.connected != 0); });
    pause = std::min(pause * 2, kLastRetry);
  }
  ++lane.awake;
  return false;
}

// At the moment of the decision, so that not all that are idle leave at once.
void Pool::leave(Lane& lane, Worker& worker) {
  worker.leaves = true;
  --lane.running;
}

void Pool::work(Lane& lane, Worker& worker) {
  std::unique_lock lock(mutex_);
  milliseconds idle{0};
  ++lane.awake;
  const bool first = connect(lane, worker, lock);
  --lane.connecting;
  bool go_on = first;
  while (go_on && !stopping_) {
    if (&lane == &lanes_[0] && !migrating_ && migrations_.pending()) apply_migrations(worker, lock);
    if (!worker.session.connected()) {
      go_on = connect(lane, worker, lock);
      continue;
    }
    if (std::exchange(worker.stands_by, false)) {
      --lane.awake;
      while (!lane.waiting.empty() && !stopping_ && !overdue(lane))
        worker.wake.wait_for(lock, kStalled, [this] { return stopping_; });
      lane.standby = false;
      ++lane.awake;
    }
    if (!lane.waiting.empty() && !serves(lane)) move_to_primary(lane);
    if (!lane.waiting.empty() && !migrations_.pending() && (lane.awake <= busy_enough_ || overdue(lane))) {
      std::vector<std::unique_ptr<Job>> jobs = take(lane);
      if (!lane.waiting.empty() && !lane.standby) dispatch(lane);  // another worker watches the rest
      if (jobs.size() == 1 && jobs.front()->reads_alone()) worker.reads_for = jobs.front()->query.ex;
      ++busy_;
      host_.record(available_series_, static_cast<double>(connected_ - std::min(busy_, connected_)));
      lock.unlock();
      if (jobs.size() == 1)
        run(worker, std::move(jobs.front()));
      else
        run_writes(worker, jobs);
      lock.lock();
      if (--busy_ == 0) quiet_.notify_all();
      // A cancel request on its way must not meet the session's next statement.
      if (const auto cancelled = std::exchange(worker.cancelled, {}); cancelled.valid()) {
        lock.unlock();
        if (cancelled.wait_for(kPatience) != std::future_status::ready && worker.session.connected())
          lost(worker, "the server does not answer a cancel request");
        lock.lock();
      }
      idle = milliseconds(0);
      continue;
    }
    worker.signalled = false;
    lane.idle.push_back(&worker);
    --lane.awake;
    if (!lane.waiting.empty()) dispatch(lane);  // what is left to the others is not forgotten
    if (worker.wake.wait_for(lock, kCheck, [&] { return worker.signalled || stopping_; })) continue;
    std::erase(lane.idle, &worker);
    ++lane.awake;
    idle += kCheck;
    lock.unlock();
    const bool alive = worker.session.alive();  // notices a server that went while idle
    if (!alive) lost(worker, "the server closed the connection");
    lock.lock();
    if (idle >= kIdle && lane.running > lane.min) {
      leave(lane, worker);
      go_on = false;
    }
  }
  --lane.awake;
  if (worker.session.connected()) count_connected(lane, -1);
  lock.unlock();
  worker.session.disconnect();
  lock.lock();
  if (!worker.leaves) --lane.running;
  worker.finished = true;
}

void Pool::count_connected(Lane& lane, int change) {
  lane.connected += static_cast<size_t>(change);
  if (change == 1 && lane.connected == 1)  // the server is back: the others need not wait for their next attempt
    for (Worker& worker : lane.workers) worker.wake.notify_one();
  if (lane.replica == kNone) {
    connected_ += static_cast<size_t>(change);
    if (connected_ != 0)
      down_ = false;
    else
      cut_ns_ = host_.now_ns();
  }
  tell_health();
}

void Pool::go_down(std::unique_lock<std::mutex>& lock) {
  if (connected_ != 0) return;
  down_ = true;
  tell_health();
  refuse_waiting(why_down_, false, lock);
}

// The connection broke. `mutex_` is not held.
void Pool::lost(Worker& worker, const std::string& why) {
  worker.session.disconnect();
  const std::lock_guard lock(mutex_);
  if (worker.lane.replica == kNone) why_down_ = why;
  count_connected(worker.lane, -1);
  if (worker.lane.replica != kNone && worker.lane.connected == 0) move_to_primary(worker.lane);
}

// ------------------------------------------------------------- migrations

void Pool::apply_migrations(Worker& worker, std::unique_lock<std::mutex>& lock) {
  migrating_ = true;
  for (size_t i = 0; i < migrations_.sets().size(); ++i) {
    if (migrations_.sets()[i].applied || !migrations_.sets()[i].error.empty()) continue;
    if (draining_) break;
    const Migrations::Set set = migrations_.sets()[i];
    ++busy_;
    lock.unlock();
    const Outcome outcome = migrate_with(worker.session, set);
    lock.lock();
    if (--busy_ == 0) quiet_.notify_all();
    // Lost, or another host holds the lock for longer than a statement may wait: again, later.
    if (outcome.lost || outcome.status == BH_E_TIMEOUT || outcome.status == BH_E_UNAVAILABLE) {
      (settings_.direct ? why_not_prepared_ : why_down_) = outcome.message;
      tell_health();
      if (outcome.lost) {
        if (settings_.direct) {
          worker.wake.wait_for(lock, kLastRetry / 4, [this] { return stopping_ || draining_; });
        } else {
          lock.unlock();
          worker.session.disconnect();
          lock.lock();
          count_connected(worker.lane, -1);
        }
      } else {
        worker.wake.wait_for(lock, kFirstRetry, [this] { return stopping_; });
      }
      tell_health();
      break;
    }
    Migrations::Set& kept = migrations_.sets()[i];
    kept.applied = outcome.status == BH_OK;
    if (!kept.applied) {
      kept.error = outcome.message;
      host_.error("migration failed", {{"owner", kept.owner}, {"reason", outcome.message}});
    }
    const bh_sql_result result = result_of(outcome);
    const auto done = std::exchange(kept.done, nullptr);
    void* arg = kept.arg;
    tell_health();
    if (done != nullptr) {
      ++busy_;
      lock.unlock();
      done(arg, &result);
      lock.lock();
      if (--busy_ == 0) quiet_.notify_all();
    }
    migrated_.notify_all();
  }
  migrating_ = false;
  for (Lane& lane : lanes_)  // what has waited for it
    if (!lane.waiting.empty()) dispatch(lane);
}

Outcome Pool::migrate_with(Session& session, const Migrations::Set& set) {
  if (!settings_.direct) return Migrations::apply(session, settings_.session.url.dialect, set);
  Session direct(*settings_.direct);
  {
    const std::lock_guard lock(mutex_);
    direct_ = &direct;
  }
  Outcome outcome = direct.connect();
  if (outcome.status == BH_OK) outcome = Migrations::apply(direct, Dialect::kPostgresql, set);
  const std::lock_guard lock(mutex_);
  direct_ = nullptr;
  return outcome;
}

void Pool::tell_health() {
  host_.record(size_series_, static_cast<double>(connected_));
  std::string failed;
  for (const Migrations::Set& set : migrations_.sets())
    if (!set.error.empty()) failed = set.error;
  const std::string state = stopping_         ? "stopping"
                            : down_           ? "down: " + why_down_
                            : !failed.empty() ? failed
                            : migrations_.pending()
                                ? "preparing" + (why_not_prepared_.empty() ? "" : ": " + why_not_prepared_)
                            : *settings_.session.pooler_met ? kPoolerMet
                                                            : "";
  if (state == reported_ && !state.empty()) return;
  if (state.empty())
    host_.health(BH_READY);
  else if (state == kPoolerMet)
    host_.health(BH_DEGRADED, state);
  else
    host_.health(stopping_ || (!down_ && failed.empty()) ? BH_STARTING : BH_FAILED, state);
  if (state != reported_ && !stopping_) {
    if (state.empty() || state == kPoolerMet)
      host_.info("database ready", {{"url", settings_.session.url.display}});
    else if (down_)
      host_.warn("database down", {{"url", settings_.session.url.display}, {"reason", why_down_}});
  }
  reported_ = state;
}

}  // namespace database
