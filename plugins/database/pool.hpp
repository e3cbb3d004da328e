// Pool: sessions with a thread each, and the work that waits for them.
//
// PostgreSQL has a lane with min..max sessions for the primary, and one for each replica: more come
// when work waits, those above min go when idle. No more of them work at a time than the cores can
// feed, unless they stall: a thread switched to for every query costs more than the query. SQLite
// has a lane with the one writer, and one with readers, which WAL lets run beside it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.h"
#include "lookup.hpp"
#include "migrations.hpp"
#include "query_spans.hpp"
#include "replicas.hpp"
#include "session.hpp"

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
  const Migrations& migrations() const { return migrations_; }
  const PoolSettings& settings() const { return settings_; }
  uint64_t replica_lag_ms() const { return replicas_ ? settings_.replica_lag_ms : 0; }

 private:
  static constexpr size_t kNone = SIZE_MAX;
  struct Job {
    std::string sql;
    std::vector<bh_value> values;
    std::vector<std::string> texts;  // what the text values view
    std::vector<int32_t> columns;
    bh_sql_query query{};
    bh_sql_transaction transaction{};
    std::unique_ptr<LookupBatch> lookups;  // or null
    bool is_transaction = false;
    bool handed_on = false;  // its session was cut, and could not be had again
    uint32_t writer = 0;     // see Replicas
    uint64_t deadline_ns = 0, queued_ns = 0;
    bulkhead::Span span;  // of what is no lookup

    // It never ran, or all of it ended alike.
    void done(const Outcome& outcome);
    size_t size() const { return lookups ? lookups->size() : 1; }
    bool writes() const { return !lookups && !is_transaction && (query.flags & BH_SQL_READ) == 0; }
    // A query for one caller alone: no other needs its rows.
    bool reads_alone() const { return !lookups && !is_transaction && !writes(); }
    bool changes() const { return is_transaction ? (transaction.flags & BH_SQL_READ) == 0 : writes(); }
    size_t bytes() const;
  };
  struct Lane;
  struct Worker {
    Worker(Lane& its_lane, const SessionSettings& settings) : lane(its_lane), session(settings) {}
    Lane& lane;
    Session session;
    std::condition_variable wake;
    std::thread thread;
    bool signalled = false, finished = false, stands_by = false;
    bool leaves = false;  // no longer counted in Lane::running
    // On whose behalf it reads alone. Null before `done`, which may end the exchange, and once it
    // was asked to break off.
    bh_exchange* reads_for = nullptr;
    std::shared_future<void> cancelled;  // valid: the request is, or was, on its way to the server
  };
  struct Lane {
    const SessionSettings* session = nullptr;
    uint64_t taken_ns = 0;   // when work was taken last
    size_t replica = kNone;  // which one, or the primary or SQLite
    size_t min = 0, max = 0, connecting = 0, connected = 0;
    std::deque<std::unique_ptr<Job>> waiting;
    size_t waiting_size = 0;    // lookups counted one by one
    std::vector<Job*> open;     // of those that wait, batches that are not full
    std::vector<Worker*> idle;  // the last one to become idle is the first to be woken: its caches are warm
    std::list<Worker> workers;
    size_t awake = 0;      // workers neither idle nor connecting
    bool standby = false;  // one of them watches the oldest job instead of working
    size_t running = 0;    // workers that have not finished
  };

  // Why no work is taken, or BH_OK. `mutex_` is held.
  bh_status admit(Lane& lane, bh_error* err);
  bh_status push(bool read, std::unique_ptr<Job> job, bh_error* err);
  // Whether the job may share a transaction with others.
  bool together(const Job& job) const;
  // The oldest job; where it is a write, those that wait behind it too, up to a batch.
  std::vector<std::unique_ptr<Job>> take(Lane& lane);
  // For a read on behalf of the exchange, or a write. `mutex_` is held.
  Lane& lane_for(bool read, uint32_t writer);
  uint32_t writer_of(bh_exchange* ex) const;
  bool serves(const Lane& lane) const;
  // Of the work that waits for a replica that is gone.
  void move_to_primary(Lane& lane);
  // And what it was given is broken off, for the primary to answer.
  void leave_replica(size_t replica);
  // Each second: what hangs is given up, and what callers who left have asked for.
  void watch();
  bool left(bh_exchange* ex) const { return ex != nullptr && !host_.view(ex).live(); }
  // `lock` is held on entry and exit.
  void drop_waiting_reads(std::unique_lock<std::mutex>& lock);
  // `mutex_` is held.
  void cancel_reads();
  void count_connected(Lane& lane, int change);
  void finish(Job& job, const Outcome& outcome);
  void wake(Lane& lane);
  void dispatch(Lane& lane);
  bool overdue(const Lane& lane) const;
  void spawn(Lane& lane);
  void work(Lane& lane, Worker& worker);
  bool connect(Lane& lane, Worker& worker, std::unique_lock<std::mutex>& lock);
  // One attempt. `mutex_` is not held.
  bool connect_once(Worker& worker);
  void leave(Lane& lane, Worker& worker);
  void lost(Worker& worker, const std::string& why);
  void run(Worker& worker, std::unique_ptr<Job> job);
  void untrack(Worker& worker, const Job& job);
  // To whichever session of the primary is free first; false where none is to be expected.
  bool hand_on(std::unique_ptr<Job>& job);
  void run_writes(Worker& worker, const std::vector<std::unique_ptr<Job>>& jobs);
  Outcome run_transaction(Session& session, const Job& job, bool* began);
  Outcome migrate_with(Session& session, const Migrations::Set& set);
  void apply_migrations(Worker& worker, std::unique_lock<std::mutex>& lock);
  // `lock` is held on entry and exit, as below.
  void refuse_waiting(const std::string& why, bool of_replicas, std::unique_lock<std::mutex>& lock);
  // Unless a session is there after all.
  void go_down(std::unique_lock<std::mutex>& lock);
  void tell_health();
  uint32_t series_of(const Job& job) const;

  const bulkhead::Host host_;
  const PoolSettings settings_;
  const QuerySpans spans_;
  const size_t busy_enough_;  // workers awake at once while no job waits for long
  std::mutex mutex_;
  std::condition_variable migrated_, quiet_;
  std::vector<Lane> lanes_;
  Migrations migrations_;
  size_t connected_ = 0, busy_ = 0;  // connected_: without replicas
  bool down_ = true;                 // no session is there, and to connect has failed since, or takes long
  uint64_t cut_ns_ = 0;              // when the last session went
  bulkhead::Timer watch_timer_;
  bool started_ = false, draining_ = false, stopping_ = false, migrating_ = false;
  std::string why_down_ = "not connected yet", why_not_prepared_, reported_;
  std::shared_future<void> cancelling_;  // the requests sent last; one batch at a time
  Session* direct_ = nullptr;            // that migrates, past a pooler
  std::unique_ptr<Replicas> replicas_;
  uint32_t size_series_ = 0, available_series_ = 0;
  uint32_t latency_series_[6] = {};  // select, insert, update, delete, transaction, lookup
  uint32_t batch_series_[2] = {};    // lookups, writes
};

}  // namespace database
