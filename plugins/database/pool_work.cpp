// The pool's work: how it comes in, waits, travels together and is run.
#include <algorithm>

#include "pool.hpp"
#include "result.hpp"

namespace database {

using bulkhead::set_error;
using bulkhead::to_str;
using bulkhead::to_view;

namespace {

// Of the values of a transaction's writes: all of them fit the socket, so that neither side waits
// for the other.
constexpr size_t kBatchBytes = 32 * 1024;
enum : size_t { kSelect, kInsert, kUpdate, kDelete, kTransaction, kLookup };

Outcome refused(bh_status status) {
  Outcome outcome;
  outcome.status = status;
  return outcome;
}

}  // namespace

void Pool::Job::done(const Outcome& outcome) {
  if (lookups) return lookups->refuse(outcome);
  QuerySpans::end(span, outcome);
  const bh_sql_result result = result_of(outcome);
  if (is_transaction)
    transaction.done(transaction.arg, &result);
  else
    query.done(query.arg, &result);
}

uint32_t Pool::writer_of(bh_exchange* ex) const {
  if (!replicas_ || ex == nullptr) return 0;
  const std::string_view subject = host_.view(ex).attribute(BH_IDENTITY_SUBJECT);
  return subject.empty() ? 0 : Replicas::writer(subject);
}

bool Pool::serves(const Lane& lane) const {
  return lane.replica == kNone || (lane.connected != 0 && replicas_->fresh(lane.replica, host_.now_ns()));
}

Pool::Lane& Pool::lane_for(bool read, uint32_t writer) {
  if (!read || lanes_.size() == 1) return lanes_[0];
  if (!replicas_) return lanes_[1];
  if (replicas_->reads_primary(writer, host_.now_ns())) return lanes_[0];
  Lane* best = nullptr;
  for (size_t i = 1; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    if (serves(lane) && (best == nullptr || lane.waiting_size + lane.awake < best->waiting_size + best->awake))
      best = &lane;
  }
  return best != nullptr ? *best : lanes_[0];
}

void Pool::move_to_primary(Lane& lane) {
  Lane& primary = lanes_[0];
  primary.waiting_size += std::exchange(lane.waiting_size, 0);
  lane.open.clear();
  for (auto& job : std::exchange(lane.waiting, {})) {
    primary.waiting.push_back(std::move(job));
    dispatch(primary);
  }
}

void Pool::leave_replica(size_t replica) {
  const std::lock_guard lock(mutex_);
  Lane& lane = lanes_[replica + 1];
  move_to_primary(lane);
  for (Worker& worker : lane.workers) worker.session.interrupt();
}

// Every answer to a job. What a write may have changed is in no replica yet.
void Pool::finish(Job& job, const Outcome& outcome) {
  const bh_exchange* caller = job.is_transaction ? job.transaction.ex : job.query.ex;
  if (replicas_ && job.changes() && caller != nullptr) replicas_->wrote(job.writer, host_.now_ns());
  job.done(outcome);
}

bh_status Pool::admit(Lane& lane, bh_error* err) {
  if (draining_ || stopping_ || !started_)
    return set_error(err, BH_E_UNAVAILABLE, "The database is not available: the host is starting or stopping.");
  if (lane.running < lane.min) spawn(lane);
  if (lane.replica == kNone && down_)
    return set_error(err, BH_E_UNAVAILABLE, "The database is not available. Try again in a moment.");
  if (migrations_.pending())
    return set_error(err, BH_E_UNAVAILABLE, "The database is being prepared. Try again in a moment.");
  if (lane.waiting_size >= settings_.queue)
    return set_error(err, BH_E_UNAVAILABLE, "Too many queries wait for the database. Try again in a moment.");
  return BH_OK;
}

bh_status Pool::push(bool read, std::unique_ptr<Job> job, bh_error* err) {
  job->queued_ns = host_.now_ns();
  if (job->deadline_ns == 0) job->deadline_ns = job->queued_ns + uint64_t{settings_.wait_timeout_ms} * 1'000'000;
  const std::lock_guard lock(mutex_);
  Lane& lane = lane_for(read, job->writer);
  if (const bh_status status = admit(lane, err); status != BH_OK) {
    QuerySpans::end(job->span, refused(status));
    return status;
  }
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
  const uint32_t writer = writer_of(mine.ex);
  bulkhead::Span span = spans_.begin(mine.ex, to_view(mine.sql));
  const std::lock_guard lock(mutex_);
  Lane& lane = lane_for(true, writer);
  if (const bh_status status = admit(lane, err); status != BH_OK) {
    QuerySpans::end(span, refused(status));
    return status;
  }
  ++lane.waiting_size;
  for (Job* job : lane.open) {
    if (!job->lookups->takes(mine)) continue;
    job->lookups->add(mine, std::move(span));
    job->deadline_ns = job->lookups->deadline_ns();
    if (job->size() >= settings_.batch) std::erase(lane.open, job);
    if (lane.idle.empty()) dispatch(lane);  // a worker comes for the batch, but is it in time?
    return BH_OK;
  }
  auto job = std::make_unique<Job>();
  job->lookups = std::make_unique<LookupBatch>(mine, settings_.session.url.dialect, std::move(span));
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

// On PostgreSQL inserts alone: two batches that change the same rows in another order would wait
// for each other.
bool Pool::together(const Job& job) const {
  return job.writes() && (settings_.session.url.dialect == Dialect::kSqlite || series_of(job) == kInsert);
}

std::vector<std::unique_ptr<Pool::Job>> Pool::take(Lane& lane) {
  std::vector<std::unique_ptr<Job>> jobs;
  lane.taken_ns = host_.now_ns();
  jobs.push_back(std::move(lane.waiting.front()));
  lane.waiting.pop_front();
  std::erase(lane.open, jobs.front().get());
  if (together(*jobs.front())) {
    size_t bytes = jobs.front()->bytes();
    for (auto& job : lane.waiting) {
      if (jobs.size() >= settings_.batch || bytes > kBatchBytes) break;
      if (!together(*job)) continue;
      bytes += job->bytes();
      jobs.push_back(std::move(job));
    }
    std::erase(lane.waiting, nullptr);
  }
  for (const auto& job : jobs) lane.waiting_size -= job->size();
  return jobs;
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
  job->writer = writer_of(query.ex);
  job->span = spans_.begin(query.ex, job->sql);
  return push((query.flags & BH_SQL_READ) != 0, std::move(job), err);
}

bh_status Pool::transact(const bh_sql_transaction& transaction, bh_error* err) {
  if (!BH_HAS(&transaction, ex) || transaction.run == nullptr || transaction.done == nullptr)
    return set_error(err, BH_E_INVALID, "the transaction has no run or no done, or its size is not set");
  auto job = std::make_unique<Job>();
  job->is_transaction = true;
  job->transaction = transaction;
  job->deadline_ns = transaction.deadline_ns;
  job->writer = writer_of(transaction.ex);
  job->span = spans_.begin_transaction(transaction.ex);
  // What has begun is not begun again elsewhere: not on a replica, which may go.
  return push(!replicas_ && (transaction.flags & BH_SQL_READ) != 0, std::move(job), err);
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
  if (!migrated_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                          [this] { return stopping_ || !migrations_.pending(); }))
    return "the database is not available: " + why_down_;
  for (const Migrations::Set& set : migrations_.sets())
    if (!set.error.empty()) return set.error;
  return {};
}

void Pool::refuse_waiting(const std::string& why, bool of_replicas, std::unique_lock<std::mutex>& lock) {
  std::vector<std::unique_ptr<Job>> refused;
  for (Lane& lane : lanes_) {
    while (!lane.waiting.empty() && (of_replicas || lane.replica == kNone))
      for (auto& job : take(lane)) refused.push_back(std::move(job));
  }
  const Outcome outcome = unavailable(why);
  ++busy_;  // these are owed too
  lock.unlock();
  for (const auto& job : refused) finish(*job, outcome);
  lock.lock();
  if (--busy_ == 0) quiet_.notify_all();
}

Outcome Pool::run_transaction(Session& session, const Job& job, bool* began) {
  const bh_sql_transaction& transaction = job.transaction;
  Outcome outcome = session.begin((transaction.flags & BH_SQL_READ) != 0);
  if (outcome.status != BH_OK) return outcome;
  *began = true;
  session.last() = {};
  session.traced = {&spans_, &job.span};
  const bh_status status = transaction.run(transaction.arg, session.handle());
  session.traced = {};
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

bool Pool::hand_on(std::unique_ptr<Job>& job) {
  const std::lock_guard lock(mutex_);
  if (draining_ || stopping_ || down_) return false;
  Lane& primary = lanes_[0];
  primary.waiting_size += job->size();
  primary.waiting.push_front(std::move(job));
  dispatch(primary);
  return true;
}

// Clears the exchange of a read before `done`, which may end it.
void Pool::untrack(Worker& worker, const Job& job) {
  if (!job.reads_alone()) return;
  const std::lock_guard lock(mutex_);
  worker.reads_for = nullptr;
}

void Pool::run(Worker& worker, std::unique_ptr<Job> job) {
  const uint64_t begin = host_.now_ns();
  if (job->lookups) {
    job->lookups->expire(begin, [this](bh_exchange* ex) { return left(ex); });
    if (job->lookups->size() == 0) return;
  }
  const bool gone = job->reads_alone() && left(job->query.ex), late = begin > job->deadline_ns;
  if (gone || late) {
    untrack(worker, *job);
    return finish(*job, gone ? caller_left() : unavailable("waited too long for a session"));
  }
  bool began = false;
  auto once = [&] {
    return job->lookups          ? job->lookups->run(worker.session, worker.lane.replica == kNone)
           : job->is_transaction ? run_transaction(worker.session, *job, &began)
                                 : worker.session.execute(job->query);
  };
  Outcome outcome = once();
  untrack(worker, *job);
  if (outcome.status != BH_OK && worker.lane.replica != kNone && outcome.status != BH_E_TIMEOUT &&
      (job->lookups ? job->lookups->untouched() : outcome.rows == 0)) {
    // Whatever ails the replica (it is gone, cancels what conflicts with its recovery, lacks a
    // table): the primary knows.
    if (outcome.lost) lost(worker, outcome.message);
    if (!hand_on(job)) finish(*job, unavailable("neither a replica nor the primary answers"));
    return;
  }
  if (outcome.lost) {
    lost(worker, outcome.message);
    bool stopping = false;
    {
      const std::lock_guard lock(mutex_);
      stopping = draining_ || stopping_;
    }
    // What certainly did nothing may run again, once: on a session that is there to answer, not on
    // one that was cut as well. Where the server takes none, another may have one.
    const bool again =
        !stopping && (job->lookups          ? job->lookups->untouched()
                      : job->is_transaction ? !began
                                            : (job->query.flags & BH_SQL_READ) != 0 && outcome.rows == 0);
    if (again && connect_once(worker)) {
      outcome = once();
      if (outcome.lost) lost(worker, outcome.message);
    } else if (again && !std::exchange(job->handed_on, true) && hand_on(job)) {
      return;
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
  if (!job->lookups) return finish(*job, outcome);
  host_.record(batch_series_[0], static_cast<double>(job->lookups->size()), job->lookups->exchange());
  job->lookups->finish();
}

void Pool::run_writes(Worker& worker, const std::vector<std::unique_ptr<Job>>& jobs) {
  const uint64_t begin = host_.now_ns();
  std::vector<Job*> begun;
  std::vector<const bh_sql_query*> queries;
  for (const auto& job : jobs) {
    if (begin > job->deadline_ns) {
      finish(*job, unavailable("waited too long for a session"));
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
  const std::string leader = begun.size() > 1 ? begun.front()->span.context() : std::string();
  for (size_t i = 0; i < begun.size(); ++i) {
    QuerySpans::batched(begun[i]->span, begun.size(), i == 0 ? "" : leader);
    host_.record(latency_series_[series_of(*begun[i])], seconds, begun[i]->query.ex);
    if (outcomes[i].status == BH_E_INTERNAL)
      host_.error("query failed",
                  {{"sqlstate", outcomes[i].sqlstate}, {"reason", outcomes[i].message}, {"sql", begun[i]->sql}});
    finish(*begun[i], outcomes[i]);
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

}  // namespace database
