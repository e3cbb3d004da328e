#include "pool.hpp"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include "query_job.hpp"
#include "transaction_job.hpp"

namespace database {

using bulkhead::set_error;
using bulkhead::to_view;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

namespace {

constexpr milliseconds kPatience{1000};
const std::string kPoolerMet =
    "a pooler stands between this host and PostgreSQL: statements are not prepared, and neither LISTEN nor a session's "
    "settings can be relied on; give the server's own address as direct_url";

Outcome refused(bh_status status) {
  Outcome outcome;
  outcome.status = status;
  return outcome;
}

}  // namespace

Pool::Pool(const bulkhead::Host& host, PoolSettings settings)
    : host_(host),
      settings_(std::move(settings)),
      spans_(host, settings_.session.url, !settings_.replicas.empty()),
      metrics_(host, settings_.service),
      migrator_(*this, settings_.direct) {
  const bool one_writer = settings_.session.url.backend->one_writer;
  const auto add = [this](const SessionSettings& session, size_t replica, bool single) {
    lanes_.emplace_back(*this, session, replica, single ? 1 : settings_.min, single ? 1 : settings_.max);
  };
  add(settings_.session, Lane::kPrimary, one_writer);
  if (one_writer) add(settings_.session, Lane::kPrimary, false);
  for (size_t i = 0; i < settings_.replicas.size(); ++i) add(settings_.replicas[i], i, false);
  if (!settings_.replicas.empty())
    replicas_ =
        std::make_unique<Replicas>(host_, settings_.direct ? *settings_.direct : settings_.session, settings_.replicas,
                                   settings_.replica_lag_ms, [this](size_t replica) { leave_replica(replica); });
}

// ------------------------------------------------------------------------- life

void Pool::start() {
  const std::lock_guard lock(mutex_);
  started_ = true;
  host_.health(BH_STARTING, why_down_);
  for (Lane& lane : lanes_)
    while (lane.short_of_workers()) {
      const size_t before = lane.running;
      lane.spawn();
      if (lane.running == before) break;  // no thread to be had
    }
  if (replicas_) replicas_->start();
  static constexpr uint64_t kEveryMs = 1000;
  watch_timer_ = host_.every(kEveryMs, [this] { watch(); });
}

void Pool::quiesce() {
  watch_timer_ = {};
  if (replicas_) replicas_->stop();
  {
    std::unique_lock lock(mutex_);
    draining_ = true;
    refuse_waiting("the host is stopping", true, lock);
    while (!quiet_.wait_for(lock, kPatience, [this] { return busy_ == 0; })) {
      for_each_worker([](Worker& worker) { worker.session().interrupt(); });
      migrator_.interrupt();
    }
  }
  migrator_.refuse(unavailable("the host is stopping"));
}

void Pool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for_each_worker([](Worker& worker) { worker.signal(); });
    migrator_.stop();
  }
  for_each_worker([](Worker& worker) { worker.join(); });
}

// ------------------------------------------------------------------------- work

bh_status Pool::submit(const bh_sql_query& query, bh_error* err) {
  if (!BH_HAS(&query, arg) || query.done == nullptr || to_view(query.sql).empty())
    return set_error(err, BH_E_INVALID, "the query has no text or no done, or its size is not set");
  return push((query.flags & BH_SQL_READ) != 0, std::make_unique<QueryJob>(query, spans_), err);
}

bh_status Pool::transact(const bh_sql_transaction& transaction, bh_error* err) {
  if (!BH_HAS(&transaction, ex) || transaction.run == nullptr || transaction.done == nullptr)
    return set_error(err, BH_E_INVALID, "the transaction has no run or no done, or its size is not set");
  // What has begun is not begun again elsewhere: not on a replica, which may go.
  return push(!replicas_ && (transaction.flags & BH_SQL_READ) != 0,
              std::make_unique<TransactionJob>(transaction, spans_), err);
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
  if (lane.queue.join(mine, span)) {
    if (lane.idle.empty()) lane.dispatch();  // a worker comes for the batch, but is it in time?
    return BH_OK;
  }
  auto batch = std::make_unique<LookupBatch>(mine, *settings_.session.url.backend, std::move(span));
  batch->queued_ns = now;
  lane.queue.push_batch(std::move(batch));
  lane.dispatch();
  return BH_OK;
}

bh_status Pool::push(bool read, std::unique_ptr<Job> job, bh_error* err) {
  job->queued_ns = host_.now_ns();
  if (job->deadline_ns == 0) job->deadline_ns = job->queued_ns + uint64_t{settings_.wait_timeout_ms} * 1'000'000;
  job->writer = writer_of(job->exchange());
  const std::lock_guard lock(mutex_);
  Lane& lane = lane_for(read, job->writer);
  if (const bh_status status = admit(lane, err); status != BH_OK) {
    if (bulkhead::Span* span = job->span(); span != nullptr) QuerySpans::end(*span, refused(status));
    return status;
  }
  lane.queue.push(std::move(job));
  lane.dispatch();
  return BH_OK;
}

bh_status Pool::admit(Lane& lane, bh_error* err) {
  if (draining_ || stopping_ || !started_)
    return set_error(err, BH_E_UNAVAILABLE, "The database is not available: the host is starting or stopping.");
  if (lane.short_of_workers()) lane.spawn();
  if (lane.of_primary() && down_)
    return set_error(err, BH_E_UNAVAILABLE, "The database is not available. Try again in a moment.");
  if (preparing()) return set_error(err, BH_E_UNAVAILABLE, "The database is being prepared. Try again in a moment.");
  if (lane.queue.size() >= settings_.queue)
    return set_error(err, BH_E_UNAVAILABLE, "Too many queries wait for the database. Try again in a moment.");
  return BH_OK;
}

void Pool::finish(Job& job, const Outcome& outcome) {
  note_write(job);
  job.finish(outcome);
}

void Pool::refuse(Job& job, const Outcome& outcome) {
  note_write(job);
  job.refuse(outcome);
}

bool Pool::ends() {
  const std::lock_guard lock(mutex_);
  return draining_ || stopping_;
}

bool Pool::hand_on(std::unique_ptr<Job>& job) {
  const std::lock_guard lock(mutex_);
  if (draining_ || stopping_ || down_) return false;
  lanes_[0].queue.push_front(std::move(job));
  lanes_[0].dispatch();
  return true;
}

void Pool::dispatch_all() {
  for (Lane& lane : lanes_) lane.dispatch();
}

void Pool::observe(const Job& job, const Outcome& outcome, uint64_t took_ns) const {
  metrics_.latency(job, took_ns);
  if (job.kind() == JobKind::kLookup) metrics_.together(true, job.size(), job.exchange());
  if (outcome.status == BH_E_INTERNAL)
    host_.error("query failed", {{"sqlstate", outcome.sqlstate}, {"reason", outcome.message}, {"sql", job.sql()}});
}

void Pool::observe_together(std::span<Job* const> jobs, std::span<const Outcome> outcomes, uint64_t took_ns) const {
  metrics_.together(false, jobs.size(), jobs.front()->exchange());
  const std::string leader = jobs.size() > 1 ? jobs.front()->span()->context() : std::string();
  for (size_t i = 0; i < jobs.size(); ++i) {
    QuerySpans::batched(*jobs[i]->span(), jobs.size(), i == 0 ? "" : leader);
    observe(*jobs[i], outcomes[i], took_ns);
  }
}

// --------------------------------------------------------------------- replicas

uint32_t Pool::writer_of(bh_exchange* ex) const {
  if (!replicas_ || ex == nullptr) return 0;
  const std::string_view subject = host_.view(ex).attribute(BH_IDENTITY_SUBJECT);
  return subject.empty() ? 0 : Replicas::writer(subject);
}

void Pool::note_write(const Job& job) {
  if (replicas_ && job.changes() && job.exchange() != nullptr) replicas_->wrote(job.writer, host_.now_ns());
}

bool Pool::serves(const Lane& lane) const {
  return lane.of_primary() || (lane.connected != 0 && replicas_->fresh(lane.replica(), host_.now_ns()));
}

Lane& Pool::lane_for(bool read, uint32_t writer) {
  if (!read || lanes_.size() == 1) return lanes_[0];
  if (!replicas_) return lanes_[1];
  if (replicas_->reads_primary(writer, host_.now_ns())) return lanes_[0];
  Lane* best = nullptr;
  for (size_t i = 1; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    if (serves(lane) && (best == nullptr || lane.load() < best->load())) best = &lane;
  }
  return best != nullptr ? *best : lanes_[0];
}

void Pool::leave_stale_replica(Lane& lane) {
  if (!lane.queue.empty() && !serves(lane)) move_to_primary(lane);
}

void Pool::move_to_primary(Lane& lane) {
  for (auto& job : lane.queue.take_all()) {
    lanes_[0].queue.push(std::move(job));
    lanes_[0].dispatch();
  }
}

void Pool::leave_replica(size_t replica) {
  const std::lock_guard lock(mutex_);
  Lane& lane = lanes_[replica + 1];
  move_to_primary(lane);
  for (Worker& worker : lane.workers) worker.session().interrupt();
}

// ------------------------------------------------------------------- each second

// A server that hangs cancels no statement at its timeout, and refuses no connection.
void Pool::watch() {
  static constexpr seconds kOnTheWay{2};
  const auto before =
      std::chrono::steady_clock::now() - milliseconds(settings_.session.statement_timeout_ms) - kOnTheWay;
  std::unique_lock lock(mutex_);
  drop_waiting_reads(lock);
  cancel_reads();
  if (!settings_.session.url.backend->server) return;
  tell_health();
  for_each_worker([&](Worker& worker) { worker.session().interrupt_hung(before); });
  if (!down_ && nanoseconds(host_.now_ns() - cut_ns_) > kPatience) go_down(lock);
}

void Pool::drop_waiting_reads(std::unique_lock<std::mutex>& lock) {
  std::vector<std::unique_ptr<Job>> dropped;
  for (Lane& lane : lanes_)
    for (auto& job : lane.queue.take_left([this](bh_exchange* ex) { return left(ex); }))
      dropped.push_back(std::move(job));
  if (dropped.empty()) return;
  unlocked(lock, [&] {
    for (const auto& job : dropped) refuse(*job, caller_left());
  });
}

// On a detached thread: a server that hangs takes a cancel request and never answers it.
void Pool::cancel_reads() {
  if (cancelling_.valid() && cancelling_.wait_for(seconds(0)) != std::future_status::ready) return;
  std::vector<std::function<void()>> requests;
  std::promise<void> sent;
  const std::shared_future<void> cancelling = sent.get_future().share();
  for_each_worker([&](Worker& worker) {
    if (!left(worker.reads_for())) return;
    if (auto request = worker.cancel(cancelling)) requests.push_back(std::move(request));
  });
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

// -------------------------------------------------------------------- migrations

bh_status Pool::migrate(const bh_sql_migrations& migrations, bh_error* err) {
  if (!BH_HAS(&migrations, arg)) return set_error(err, BH_E_INVALID, "the migrations' size is not set");
  const std::lock_guard lock(mutex_);
  if (const std::string wrong = migrator_.migrations().add(migrations); !wrong.empty())
    return set_error(err, BH_E_INVALID, wrong);
  while (!lanes_[0].idle.empty()) lanes_[0].wake_one();  // connected already: one of them does it
  return BH_OK;
}

void Pool::migrate(Worker& worker, std::unique_lock<std::mutex>& lock) {
  if (&worker.lane() == &lanes_[0]) migrator_.apply(worker, lock);
}

std::string Pool::wait_migrated(uint32_t timeout_ms) {
  std::unique_lock lock(mutex_);
  if (!migrator_.wait(lock, timeout_ms)) return "the database is not available: " + why_down_;
  return migrator_.failed();
}

// ------------------------------------------------------------------------ health

void Pool::count_connected(Lane& lane, int change) {
  lane.connected += static_cast<size_t>(change);
  if (change == 1 && lane.connected == 1)  // the server is back: the others need not wait for their next attempt
    for (Worker& worker : lane.workers) worker.retry();
  if (lane.of_primary()) {
    connected_ += static_cast<size_t>(change);
    if (connected_ != 0)
      down_ = false;
    else
      cut_ns_ = host_.now_ns();
  }
  tell_health();
}

void Pool::count_lost(Lane& lane, const std::string& why) {
  if (lane.of_primary()) why_down_ = why;
  count_connected(lane, -1);
  if (!lane.of_primary() && lane.connected == 0) move_to_primary(lane);
}

void Pool::went_down(const std::string& why, std::unique_lock<std::mutex>& lock) {
  why_down_ = why;
  go_down(lock);
}

void Pool::go_down(std::unique_lock<std::mutex>& lock) {
  if (connected_ != 0) return;
  down_ = true;
  tell_health();
  refuse_waiting(why_down_, false, lock);
}

void Pool::refuse_waiting(const std::string& why, bool of_replicas, std::unique_lock<std::mutex>& lock) {
  std::vector<std::unique_ptr<Job>> refused;
  for (Lane& lane : lanes_)
    if (of_replicas || lane.of_primary())
      for (auto& job : lane.queue.take_all()) refused.push_back(std::move(job));
  const Outcome outcome = unavailable(why);  // before the lock goes: `why` may be a member of this
  unlocked(lock, [&] {
    for (const auto& job : refused) refuse(*job, outcome);
  });
}

void Pool::tell_health() {
  metrics_.sessions(connected_);
  const std::string failed = migrator_.failed(), &why_not = migrator_.why_not();
  const std::string state = stopping_                       ? "stopping"
                            : down_                         ? "down: " + why_down_
                            : !failed.empty()               ? failed
                            : preparing()                   ? "preparing" + (why_not.empty() ? "" : ": " + why_not)
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
    const bool ready = state.empty() || state == kPoolerMet;
    if (ready && !said_ready_) host_.info("database ready", {{"url", settings_.session.url.display}});
    if (down_) host_.warn("database down", {{"url", settings_.session.url.display}, {"reason", why_down_}});
    said_ready_ = ready || (said_ready_ && !down_ && failed.empty());  // "preparing" comes in between
  }
  reported_ = state;
}

}  // namespace database
