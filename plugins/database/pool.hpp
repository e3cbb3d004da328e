// Pool: takes work for the database, and says how the database is.
//
// PostgreSQL has a lane with min..max sessions for the primary, and one for each replica. SQLite
// has a lane with the one writer, and one with readers, which WAL lets run beside it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.h"
#include "lane.hpp"
#include "migrator.hpp"
#include "pool_metrics.hpp"
#include "postgresql/replicas.hpp"
#include "query_spans.hpp"

namespace database {

struct PoolSettings {
  SessionSettings session;
  std::optional<SessionSettings> direct;  // past a pooler, for migrations and LISTEN
  std::vector<SessionSettings> replicas;
  uint32_t replica_lag_ms = 1000;
  size_t min = 10, max = 20;
  size_t queue = 1024;                // work that may wait
  size_t batch = 64;                  // lookups in one query, writes in one transaction
  uint32_t wait_timeout_ms = 10'000;  // longest wait for a session, where the caller names none
  std::string service;                // label of the metrics
};

class Pool {
 public:
  Pool(const bulkhead::Host& host, PoolSettings settings);
  ~Pool() { stop(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void start();
  // Takes no more work, refuses what waits, and breaks off what does not end within a moment: every
  // `done` that is owed is called before this returns.
  void quiesce();
  // Joins. Nothing is called back afterwards.
  void stop();

  // ---- [any]
  bh_status submit(const bh_sql_query& query, bh_error* err);
  bh_status lookup(const bh_sql_lookup& lookup, bh_error* err);
  bh_status transact(const bh_sql_transaction& transaction, bh_error* err);
  bh_status migrate(const bh_sql_migrations& migrations, bh_error* err);
  // Waits until every registered migration is applied or has failed; "" or why not. For commands.
  std::string wait_migrated(uint32_t timeout_ms);
  const Migrations& migrations() const { return migrator_.migrations(); }
  const PoolSettings& settings() const { return settings_; }
  const bulkhead::Host& host() const { return host_; }
  uint64_t replica_lag_ms() const { return replicas_ ? settings_.replica_lag_ms : 0; }
  bool left(bh_exchange* ex) const { return ex != nullptr && !host_.view(ex).live(); }

  // ---- for its workers; mutex() is held
  std::mutex& mutex() { return mutex_; }
  bool stopping() const { return stopping_; }
  bool draining() const { return draining_; }
  bool preparing() const { return migrator_.pending(); }
  // Where the worker is one of the primary's.
  void migrate(Worker& worker, std::unique_lock<std::mutex>& lock);
  // What waits for a replica that lags, or is gone, is the primary's.
  void leave_stale_replica(Lane& lane);
  void count_connected(Lane& lane, int change);
  void count_lost(Lane& lane, const std::string& why);
  void set_why_down(const std::string& why) { why_down_ = why; }
  // An attempt to connect has failed. `lock` is held on entry and exit.
  void went_down(const std::string& why, std::unique_lock<std::mutex>& lock);
  void dispatch_all();
  void tell_health();
  // Does work that is owed an end without the mutex: quiesce() waits for it.
  template <typename Work>
  void unlocked(std::unique_lock<std::mutex>& lock, Work work) {
    ++busy_;
    metrics_.idle_sessions(connected_ - std::min(busy_, connected_));
    lock.unlock();
    work();
    lock.lock();
    if (--busy_ == 0) quiet_.notify_all();
  }

  // ---- for its workers; mutex() is not held
  bool ends();
  // To whichever session of the primary is free first; false where none is to be expected.
  bool hand_on(std::unique_ptr<Job>& job);
  // Every answer to a job.
  void finish(Job& job, const Outcome& outcome);
  void refuse(Job& job, const Outcome& outcome);
  // Metrics, spans and log of what ran for so long.
  void observe(const Job& job, const Outcome& outcome, uint64_t took_ns) const;
  void observe_together(std::span<Job* const> jobs, std::span<const Outcome> outcomes, uint64_t took_ns) const;

 private:
  // Why no work is taken, or BH_OK.
  bh_status admit(Lane& lane, bh_error* err);
  bh_status push(bool read, std::unique_ptr<Job> job, bh_error* err);
  // For a read on behalf of the writer, or a write.
  Lane& lane_for(bool read, uint32_t writer);
  uint32_t writer_of(bh_exchange* ex) const;
  bool serves(const Lane& lane) const;
  void move_to_primary(Lane& lane);
  // The replica does not answer: what it was given is broken off, for the primary to answer.
  void leave_replica(size_t replica);
  // What a write may have changed is in no replica yet.
  void note_write(const Job& job);

  // Each second: gives up sessions that hang, and reads whose callers left.
  void watch();
  void drop_waiting_reads(std::unique_lock<std::mutex>& lock);
  void cancel_reads();
  // Unless a session is there after all.
  void go_down(std::unique_lock<std::mutex>& lock);
  void refuse_waiting(const std::string& why, bool of_replicas, std::unique_lock<std::mutex>& lock);
  template <typename Each>
  void for_each_worker(Each each) {
    for (Lane& lane : lanes_)
      for (Worker& worker : lane.workers) each(worker);
  }

  const bulkhead::Host host_;
  const PoolSettings settings_;
  const QuerySpans spans_;
  const PoolMetrics metrics_;
  std::mutex mutex_;  // what follows
  std::condition_variable quiet_;
  std::deque<Lane> lanes_;
  Migrator migrator_;
  size_t connected_ = 0, busy_ = 0;  // connected_: without replicas
  bool down_ = true;                 // no session is there, and to connect has failed since, or takes long
  uint64_t cut_ns_ = 0;              // when the last session went
  bulkhead::Timer watch_timer_;
  bool started_ = false, draining_ = false, stopping_ = false;
  std::string why_down_ = "not connected yet";
  std::optional<std::string> reported_;  // as health was told last
  bool said_ready_ = false;              // in the log, since it was down
  std::shared_future<void> cancelling_;  // the requests sent last; one batch at a time
  std::unique_ptr<Replicas> replicas_;
};

}  // namespace database
