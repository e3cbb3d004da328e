#include "pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <system_error>

#include "result.hpp"

namespace database {

using bulkhead::set_error;
using bulkhead::to_str;
using bulkhead::to_view;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kFirstRetry{50}, kLastRetry{2000}, kIdle{60'000}, kCheck{2000}, kPatience{1000}, kOverdue{3};
// Of the values of a transaction's writes: all of them fit the socket, so that neither side waits for the other.
constexpr size_t kBatchBytes = 32 * 1024;
enum : size_t { kSelect, kInsert, kUpdate, kDelete, kTransaction, kLookup };

Outcome unavailable(std::string why) { return {BH_E_UNAVAILABLE, false, 0, 0, "", std::move(why)}; }

}  // namespace

void Pool::Job::done(const Outcome& outcome) const {
  if (lookups) return lookups->refuse(outcome);
  const bh_sql_result result = result_of(outcome);
  if (is_transaction)
    transaction.done(transaction.arg, &result);
  else
    query.done(query.arg, &result);
}

Pool::Pool(const bulkhead::Host& host, PoolSettings settings)
    : host_(host),
      settings_(std::move(settings)),
      busy_enough_(std::max<size_t>(2, std::thread::hardware_concurrency())) {
  const bool sqlite = settings_.session.url.dialect == Dialect::kSqlite;
  lanes_ = std::vector<Lane>(sqlite ? 2 : 1);
  lanes_[0].min = lanes_[0].max = 1;
  lanes_.back().min = settings_.min;
  lanes_.back().max = settings_.max;

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
}

void Pool::quiesce() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }
  refuse_waiting("the host is stopping");
  {
    std::unique_lock lock(mutex_);
    if (!quiet_.wait_for(lock, kPatience, [this] { return busy_ == 0; }))
      for (Lane& lane : lanes_)
        for (Worker& worker : lane.workers) worker.session.interrupt();
    quiet_.wait(lock, [this] { return busy_ == 0; });
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

// -------------------------------------------------------------------- work in

bh_status Pool::admit(Lane& lane, bh_error* err) {
  if (draining_ || stopping_ || !started_)
    return set_error(err, BH_E_UNAVAILABLE, "The database is not available: the host is starting or stopping.");
  if (lane.running < lane.min) spawn(lane);
  if (connected_ == 0) return set_error(err, BH_E_UNAVAILABLE, "The database is not available. Try again in a moment.");
  if (migrations_.pending())
    return set_error(err, BH_E_UNAVAILABLE, "The database is being prepared. Try again in a moment.");
  if (lane.waiting_size >= settings_.queue)
    return set_error(err, BH_E_UNAVAILABLE, "Too many queries wait for the database. Try again in a moment.");
  return BH_OK;
}

bh_status Pool::push(Lane& lane, std::unique_ptr<Job> job, bh_error* err) {
  job->queued_ns = host_.now_ns();
  if (job->deadline_ns == 0) job->deadline_ns = job->queued_ns + uint64_t{settings_.wait_timeout_ms} * 1'000'000;
  const std::lock_guard lock(mutex_);
  if (const bh_status status = admit(lane, err); status != BH_OK) return status;
  lane.waiting.push_back(std::move(job));
  ++lane.waiting_size;
  dispatch(lane);
  return BH_OK;
}

bh_status Pool::lookup(const bh_sql_lookup& lookup, bh_error* err) {
  if (const std::string wrong = LookupBatch::check(lookup); !wrong.empty()) return set_error(err, BH_E_INVALID, wrong);
  bh_sql_lookup mine = lookup;
  const uint64_t now = host_.now_ns();
  if (mine.deadline_ns == 0) mine.deadline_ns = now + uint64_t{settings_.wait_timeout_ms} * 1'000'000;
  Lane& lane = lane_for(true);
  const std::lock_guard lock(mutex_);
  if (const bh_status status = admit(lane, err); status != BH_OK) return status;
  ++lane.waiting_size;
  for (Job* job : lane.open) {
    if (!job->lookups->takes(mine)) continue;
    job->lookups->add(mine);
    job->deadline_ns = job->lookups->deadline_ns();
    if (job->size() >= settings_.batch) std::erase(lane.open, job);
    return BH_OK;  // somebody comes for the batch already
  }
  auto job = std::make_unique<Job>();
  job->lookups = std::make_unique<LookupBatch>(mine, settings_.session.url.dialect);
  job->queued_ns = now;
  job->deadline_ns = mine.deadline_ns;
  if (settings_.batch > 1) lane.open.push_back(job.get());
  lane.waiting.push_back(std::move(job));
  dispatch(lane);
  return BH_OK;
}

size_t Pool::Job::bytes() const {
  size_t sum = 0;
  for (const std::string& text : texts) sum += text.size();
  return sum;
}

std::vector<std::unique_ptr<Pool::Job>> Pool::take(Lane& lane) {
  std::vector<std::unique_ptr<Job>> jobs;
  jobs.push_back(std::move(lane.waiting.front()));
  lane.waiting.pop_front();
  std::erase(lane.open, jobs.front().get());
  if (jobs.front()->writes()) {
    size_t bytes = jobs.front()->bytes();
    for (auto& job : lane.waiting) {
      if (jobs.size() >= settings_.batch || bytes > kBatchBytes) break;
      if (!job->writes()) continue;
      bytes += job->bytes();
      jobs.push_back(std::move(job));
    }
    std::erase(lane.waiting, nullptr);
  }
  for (const auto& job : jobs) lane.waiting_size -= job->size();
  return jobs;
}

void Pool::wake(Lane& lane) {
  Worker* worker = lane.idle.back();
  lane.idle.pop_back();
  ++lane.awake;
  worker->signalled = true;
  worker->wake.notify_one();
}

bool Pool::overdue(const Lane& lane) const {
  return host_.now_ns() - lane.waiting.front()->queued_ns > static_cast<uint64_t>(kOverdue.count()) * 1'000'000;
}

// Somebody for the job that has just come: a worker, or one who sees to it that it does not wait for long.
void Pool::dispatch(Lane& lane) {
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

bh_status Pool::submit(const bh_sql_query& query, bh_error* err) {
  if (!BH_HAS(&query, arg) || query.done == nullptr || to_view(query.sql).empty())
    return set_error(err, BH_E_INVALID, "the query has no text or no done, or its size is not set");
  auto job = std::make_unique<Job>();
  job->query = query;
  job->deadline_ns = query.deadline_ns;
  job->sql = to_view(query.sql);
  job->values.assign(query.values, query.values + query.value_count);
  job->columns.assign(query.columns, query.columns + query.column_count);
  size_t texts = 0;
  for (const bh_value& value : job->values) texts += value.kind == BH_TEXT ? 1 : 0;
  job->texts.reserve(texts);
  for (bh_value& value : job->values)
    if (value.kind == BH_TEXT) value.as.s = to_str(job->texts.emplace_back(to_view(value.as.s)));
  job->query.sql = to_str(job->sql);
  job->query.values = job->values.data();
  job->query.columns = job->columns.data();
  return push(lane_for((query.flags & BH_SQL_READ) != 0), std::move(job), err);
}

bh_status Pool::transact(const bh_sql_transaction& transaction, bh_error* err) {
  if (!BH_HAS(&transaction, ex) || transaction.run == nullptr || transaction.done == nullptr)
    return set_error(err, BH_E_INVALID, "the transaction has no run or no done, or its size is not set");
  auto job = std::make_unique<Job>();
  job->is_transaction = true;
  job->transaction = transaction;
  job->deadline_ns = transaction.deadline_ns;
  return push(lane_for((transaction.flags & BH_SQL_READ) != 0), std::move(job), err);
}

bh_status Pool::migrate(const bh_sql_migrations& migrations, bh_error* err) {
  if (!BH_HAS(&migrations, arg)) return set_error(err, BH_E_INVALID, "the migrations' size is not set");
  const std::lock_guard lock(mutex_);
  if (const std::string wrong = migrations_.add(migrations); !wrong.empty()) return set_error(err, BH_E_INVALID, wrong);
  while (!lanes_[0].idle.empty()) wake(lanes_[0]);  // connected already: one of them does it
  return BH_OK;
}

std::string Pool::wait_migrated(uint32_t timeout_ms) {
  std::unique_lock lock(mutex_);
  if (!migrated_.wait_for(lock, milliseconds(timeout_ms), [this] { return stopping_ || !migrations_.pending(); }))
    return "the database is not available: " + why_down_;
  for (const Migrations::Set& set : migrations_.sets())
    if (!set.error.empty()) return set.error;
  return {};
}

// -------------------------------------------------------------------- workers

void Pool::spawn(Lane& lane) {
  for (auto it = lane.workers.begin(); it != lane.workers.end();) {  // threads that ended when idle
    if (!it->finished) {
      ++it;
      continue;
    }
    it->thread.join();
    it = lane.workers.erase(it);
  }
  Worker& worker = lane.workers.emplace_back(settings_.session);
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

// Connects with back-off. False when stopping. `lock` is held on entry and exit.
bool Pool::connect(Lane& lane, Worker& worker, std::unique_lock<std::mutex>& lock) {
  milliseconds pause = kFirstRetry;
  --lane.awake;
  while (!stopping_) {
    lock.unlock();
    const Outcome outcome = worker.session.connect();
    lock.lock();
    if (outcome.status == BH_OK) {
      ++connected_;
      ++lane.awake;
      tell_health();
      return true;
    }
    why_down_ = outcome.message;
    tell_health();
    if (connected_ != 0 && lane.running > lane.min) {  // the server takes no more sessions
      leave(lane, worker);
      break;
    }
    worker.signalled = false;
    worker.wake.wait_for(lock, pause, [this] { return stopping_; });
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
        worker.wake.wait_for(lock, kOverdue, [this] { return stopping_; });
      lane.standby = false;
      ++lane.awake;
    }
    if (!lane.waiting.empty() && !migrations_.pending() && (lane.awake <= busy_enough_ || overdue(lane))) {
      std::vector<std::unique_ptr<Job>> jobs = take(lane);
      ++busy_;
      host_.record(available_series_, static_cast<double>(connected_ - std::min(busy_, connected_)));
      lock.unlock();
      if (jobs.size() == 1)
        run(worker, std::move(jobs.front()));
      else
        run_writes(worker, jobs);
      lock.lock();
      if (--busy_ == 0) quiet_.notify_all();
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
    const bool alive = worker.session.alive();  // or nobody would notice a server that went while nothing was asked
    if (!alive) lost(worker, "the server closed the connection");
    lock.lock();
    if (idle >= kIdle && lane.running > lane.min) {
      leave(lane, worker);
      go_on = false;
    }
  }
  --lane.awake;
  if (worker.session.connected()) --connected_;
  lock.unlock();
  worker.session.disconnect();
  lock.lock();
  tell_health();
  if (!worker.leaves) --lane.running;
  worker.finished = true;
}

// The connection broke. `mutex_` is not held.
void Pool::lost(Worker& worker, const std::string& why) {
  worker.session.disconnect();
  bool all = false;
  {
    const std::lock_guard lock(mutex_);
    --connected_;
    why_down_ = why;
    all = connected_ == 0;
    tell_health();
  }
  if (all) refuse_waiting(why);
}

void Pool::refuse_waiting(const std::string& why) {
  std::vector<std::unique_ptr<Job>> refused;
  {
    const std::lock_guard lock(mutex_);
    for (Lane& lane : lanes_) {
      while (!lane.waiting.empty())
        for (auto& job : take(lane)) refused.push_back(std::move(job));
    }
  }
  for (const auto& job : refused) job->done(unavailable(why));
}

Outcome Pool::run_transaction(Session& session, const bh_sql_transaction& transaction, bool* began) {
  Outcome outcome = session.begin((transaction.flags & BH_SQL_READ) != 0);
  if (outcome.status != BH_OK) return outcome;
  *began = true;
  session.last() = {};
  const bh_status status = transaction.run(transaction.arg, session.handle());
  if (status == BH_OK) {
    outcome = session.commit();
    if (outcome.status == BH_OK || outcome.lost) return outcome;
  } else {
    outcome = session.last();
    if (outcome.status == BH_OK) outcome.status = status;
    if (outcome.lost) return outcome;
  }
  session.rollback();
  return outcome;
}

void Pool::run(Worker& worker, std::unique_ptr<Job> job) {
  const uint64_t begin = host_.now_ns();
  if (job->lookups) {
    job->lookups->expire(begin);
    if (job->lookups->size() == 0) return;
  }
  if (begin > job->deadline_ns) return job->done(unavailable("waited too long for a session"));
  bool began = false;
  auto once = [&] {
    return job->lookups          ? job->lookups->run(worker.session)
           : job->is_transaction ? run_transaction(worker.session, job->transaction, &began)
                                 : worker.session.execute(job->query);
  };
  Outcome outcome = once();
  if (outcome.lost) {
    lost(worker, outcome.message);
    // What certainly did nothing may run again, once, if the server is there already.
    const bool again = job->lookups          ? true
                       : job->is_transaction ? !began
                                             : (job->query.flags & BH_SQL_READ) != 0 && outcome.rows == 0;
    if (again && worker.session.connect().status == BH_OK) {
      {
        const std::lock_guard lock(mutex_);
        ++connected_;
        tell_health();
      }
      outcome = once();
      if (outcome.lost) lost(worker, outcome.message);
    }
  }
  host_.record(latency_series_[series_of(*job)], static_cast<double>(host_.now_ns() - begin) * 1e-9,
               job->lookups          ? job->lookups->exchange()
               : job->is_transaction ? job->transaction.ex
                                     : job->query.ex);
  if (outcome.status == BH_E_INTERNAL)
    host_.error("query failed", {{"sqlstate", outcome.sqlstate},
                                 {"reason", outcome.message},
                                 {"sql", job->lookups          ? std::string(job->lookups->sql())
                                         : job->is_transaction ? "transaction"
                                                               : job->sql}});
  if (!job->lookups) return job->done(outcome);
  host_.record(batch_series_[0], static_cast<double>(job->lookups->size()), job->lookups->exchange());
  job->lookups->finish();
}

void Pool::run_writes(Worker& worker, const std::vector<std::unique_ptr<Job>>& jobs) {
  const uint64_t begin = host_.now_ns();
  std::vector<const Job*> begun;
  std::vector<const bh_sql_query*> queries;
  for (const auto& job : jobs) {
    if (begin > job->deadline_ns) {
      job->done(unavailable("waited too long for a session"));
      continue;
    }
    begun.push_back(job.get());
    queries.push_back(&job->query);
  }
  if (begun.empty()) return;
  std::vector<Outcome> outcomes(begun.size());
  const Outcome all = worker.session.execute_together(queries, outcomes);
  if (all.lost) lost(worker, all.message);  // what may have been committed is not tried again
  const double seconds = static_cast<double>(host_.now_ns() - begin) * 1e-9;
  host_.record(batch_series_[1], static_cast<double>(begun.size()), begun.front()->query.ex);
  for (size_t i = 0; i < begun.size(); ++i) {
    host_.record(latency_series_[series_of(*begun[i])], seconds, begun[i]->query.ex);
    if (outcomes[i].status == BH_E_INTERNAL)
      host_.error("query failed",
                  {{"sqlstate", outcomes[i].sqlstate}, {"reason", outcomes[i].message}, {"sql", begun[i]->sql}});
    begun[i]->done(outcomes[i]);
  }
}

uint32_t Pool::series_of(const Job& job) const {
  if (job.lookups) return kLookup;
  if (job.is_transaction) return kTransaction;
  const size_t start = job.sql.find_first_not_of(" \n(");
  switch (start == std::string::npos ? '\0' : job.sql[start] | 0x20) {
    case 'i':
      return kInsert;
    case 'u':
      return kUpdate;
    case 'd':
      return kDelete;
    default:
      return kSelect;
  }
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
    const Outcome outcome = Migrations::apply(worker.session, settings_.session.url.dialect, set);
    lock.lock();
    if (--busy_ == 0) quiet_.notify_all();
    // Lost, or another host holds the lock for longer than a statement may wait: again, later.
    if (outcome.lost || outcome.status == BH_E_TIMEOUT || outcome.status == BH_E_UNAVAILABLE) {
      why_down_ = outcome.message;
      if (outcome.lost) {
        lock.unlock();
        worker.session.disconnect();
        lock.lock();
        --connected_;
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
}

void Pool::tell_health() {
  host_.record(size_series_, static_cast<double>(connected_));
  std::string failed;
  for (const Migrations::Set& set : migrations_.sets())
    if (!set.error.empty()) failed = set.error;
  const std::string state = stopping_               ? "stopping"
                            : connected_ == 0       ? "down: " + why_down_
                            : !failed.empty()       ? failed
                            : migrations_.pending() ? "preparing"
                                                    : "";
  if (state == reported_ && !state.empty()) return;
  if (state.empty())
    host_.health(BH_READY);
  else
    host_.health(stopping_ || (connected_ != 0 && failed.empty()) ? BH_STARTING : BH_FAILED, state);
  if (state != reported_ && !stopping_) {
    if (state.empty())
      host_.info("database ready", {{"url", settings_.session.url.display}});
    else if (connected_ == 0)
      host_.warn("database down", {{"url", settings_.session.url.display}, {"reason", why_down_}});
  }
  reported_ = state;
}

}  // namespace database
