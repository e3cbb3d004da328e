#include "worker.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "lane.hpp"
#include "pool.hpp"

namespace database {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstRetry{50}, kLastRetry{2000}, kIdle{60'000}, kCheck{2000}, kPatience{1000}, kWatch{3};

}  // namespace

Worker::Worker(Pool& pool, Lane& lane)
    : pool_(pool), lane_(lane), session_(lane.session().url.backend->make_session(lane.session())) {}

Worker::~Worker() { join(); }

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::start() {
  thread_ = std::thread([this] { work(); });
  pthread_setname_np(thread_.native_handle(), "bh-database");
}

void Worker::wait_for(std::unique_lock<std::mutex>& lock, milliseconds time, bool also_when_draining) {
  wake_.wait_for(lock, time, [&] { return pool_.stopping() || (also_when_draining && pool_.draining()); });
}

std::function<void()> Worker::cancel(std::shared_future<void> sent) {
  reads_for_ = nullptr;
  auto request = session_->cancel_request();
  if (request) cancelled_ = std::move(sent);
  return request;
}

void Worker::forget_caller() {
  const std::lock_guard lock(pool_.mutex());
  reads_for_ = nullptr;
}

// ------------------------------------------------------------------------- life

void Worker::work() {
  std::unique_lock lock(pool_.mutex());
  ++lane_.awake;
  bool go_on = connect(lock);
  --lane_.connecting;
  while (go_on && !pool_.stopping()) {
    pool_.migrate(*this, lock);
    if (!session_->connected()) {
      go_on = connect(lock);
      continue;
    }
    if (std::exchange(stands_by_, false)) watch_oldest(lock);
    pool_.leave_stale_replica(lane_);
    const bool work_waits = !lane_.queue.empty() && !pool_.preparing();
    if (work_waits && (!lane_.too_many_awake() || lane_.overdue()))
      take_and_run(lock);
    else
      go_on = idle(lock);
  }
  --lane_.awake;
  if (session_->connected()) pool_.count_connected(lane_, -1);
  lock.unlock();
  session_->disconnect();
  lock.lock();
  if (!left_) --lane_.running;
  finished_ = true;
}

bool Worker::connect_once() {
  const Outcome outcome = session_->connect();
  std::unique_lock lock(pool_.mutex());
  if (outcome.status == BH_OK) {
    pool_.count_connected(lane_, 1);
    return true;
  }
  if (lane_.of_primary() && !lane_.session().stopping.stop_requested()) pool_.went_down(outcome.message, lock);
  return false;
}

bool Worker::connect(std::unique_lock<std::mutex>& lock) {
  milliseconds pause = kFirstRetry;
  --lane_.awake;
  while (!pool_.stopping()) {
    lock.unlock();
    const bool connected = connect_once();
    lock.lock();
    if (connected) {
      ++lane_.awake;
      return true;
    }
    if (lane_.connected != 0 && lane_.spare()) {  // the server takes no more sessions
      leave();
      break;
    }
    signalled_ = false;
    const bool none = lane_.connected == 0;
    wake_.wait_for(lock, pause, [&] { return pool_.stopping() || (none && lane_.connected != 0); });
    pause = std::min(pause * 2, kLastRetry);
  }
  ++lane_.awake;
  return false;
}

void Worker::lost(const std::string& why) {
  session_->disconnect();
  const std::lock_guard lock(pool_.mutex());
  pool_.count_lost(lane_, why);
}

// At the moment of the decision, so that not all that are idle leave at once.
void Worker::leave() {
  left_ = true;
  --lane_.running;
}

void Worker::watch_oldest(std::unique_lock<std::mutex>& lock) {
  --lane_.awake;
  while (!lane_.queue.empty() && !pool_.stopping() && !lane_.overdue()) wait_for(lock, kWatch, false);
  lane_.standby = false;
  ++lane_.awake;
}

bool Worker::idle(std::unique_lock<std::mutex>& lock) {
  signalled_ = false;
  lane_.idle.push_back(this);
  --lane_.awake;
  lane_.dispatch();  // what is left to the others is not forgotten
  if (wake_.wait_for(lock, kCheck, [this] { return signalled_ || pool_.stopping(); })) return true;
  std::erase(lane_.idle, this);
  ++lane_.awake;
  idle_ += kCheck;
  lock.unlock();
  if (!session_->alive()) lost("the server closed the connection");
  lock.lock();
  if (idle_ < kIdle || !lane_.spare()) return true;
  leave();
  return false;
}

// ------------------------------------------------------------------------- work

void Worker::take_and_run(std::unique_lock<std::mutex>& lock) {
  lane_.taken_ns = pool_.host().now_ns();
  std::vector<std::unique_ptr<Job>> jobs = lane_.queue.take();
  if (!lane_.standby) lane_.dispatch();  // otherwise another worker watches the rest
  if (jobs.size() == 1 && jobs.front()->reads_alone()) reads_for_ = jobs.front()->exchange();
  pool_.unlocked(lock, [&] {
    if (jobs.size() == 1)
      run(std::move(jobs.front()));
    else
      run_together(jobs);
  });
  idle_ = milliseconds(0);
  // A cancel request on its way must not meet the session's next statement.
  const auto cancelled = std::exchange(cancelled_, {});
  if (!cancelled.valid()) return;
  lock.unlock();
  if (cancelled.wait_for(kPatience) != std::future_status::ready && session_->connected())
    lost("the server does not answer a cancel request");
  lock.lock();
}

void Worker::run(std::unique_ptr<Job> job) {
  const uint64_t begin = pool_.host().now_ns();
  Outcome why;
  if (job->expire(
          begin, [this](bh_exchange* ex) { return pool_.left(ex); }, &why)) {
    forget_caller();
    return pool_.refuse(*job, why);
  }
  Outcome outcome = job->run(*session_, lane_.of_primary());
  if (job->reads_alone()) forget_caller();
  if (outcome.status != BH_OK && !lane_.of_primary() && outcome.status != BH_E_TIMEOUT && job->untouched(outcome)) {
    // Whatever ails the replica (it is gone, cancels what conflicts with its recovery, lacks a
    // table): the primary knows.
    if (outcome.lost) lost(outcome.message);
    if (!pool_.hand_on(job)) pool_.refuse(*job, unavailable("neither a replica nor the primary answers"));
    return;
  }
  if (outcome.lost && repeat(job, &outcome)) return;
  pool_.observe(*job, outcome, pool_.host().now_ns() - begin);
  pool_.finish(*job, outcome);
}

bool Worker::repeat(std::unique_ptr<Job>& job, Outcome* outcome) {
  lost(outcome->message);
  // Once: on a session that is there to answer, not on one that was cut as well. Where the server
  // takes none, another may have one.
  if (!job->untouched(*outcome) || pool_.ends()) return false;
  if (connect_once()) {
    *outcome = job->run(*session_, lane_.of_primary());
    if (outcome->lost) lost(outcome->message);
    return false;
  }
  return !std::exchange(job->handed_on, true) && pool_.hand_on(job);
}

void Worker::run_together(const std::vector<std::unique_ptr<Job>>& jobs) {
  const uint64_t begin = pool_.host().now_ns();
  std::vector<Job*> begun;
  std::vector<const bh_sql_query*> queries;
  for (const auto& job : jobs) {
    Outcome why;
    if (job->expire(
            begin, [this](bh_exchange* ex) { return pool_.left(ex); }, &why)) {
      pool_.refuse(*job, why);
      continue;
    }
    begun.push_back(job.get());
    queries.push_back(job->write());
  }
  if (begun.empty()) return;
  std::vector<Outcome> outcomes(begun.size());
  const Outcome all = session_->execute_together(queries, outcomes);
  if (all.lost) lost(all.message);  // what may have been committed is not tried again
  pool_.observe_together(begun, outcomes, pool_.host().now_ns() - begin);
  for (size_t i = 0; i < begun.size(); ++i) pool_.finish(*begun[i], outcomes[i]);
}

}  // namespace database
