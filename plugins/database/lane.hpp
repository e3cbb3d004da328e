// Lane: the work for one server, or for SQLite's writer or its readers, and the workers that do it.
//
// More workers come when work waits, those above `min` go when idle. No more of them work at a time
// than the cores can feed, unless they stall: a thread switched to for every query costs more than
// the query. Used under the pool's mutex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

#include "queue.hpp"
#include "worker.hpp"

namespace database {

class Pool;

class Lane {
 public:
  static constexpr size_t kPrimary = SIZE_MAX;

  Lane(Pool& pool, const SessionSettings& session, size_t replica, size_t min, size_t max);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  const SessionSettings& session() const { return session_; }
  size_t replica() const { return replica_; }
  bool of_primary() const { return replica_ == kPrimary; }  // or SQLite's
  bool spare() const { return running > min_; }             // a worker may leave
  bool short_of_workers() const { return running < min_; }
  // How much is ahead of a job that comes now.
  size_t load() const { return queue.size() + awake; }
  // As many workers as the cores can feed; and more than that.
  bool enough_awake() const { return awake >= cores(); }
  bool too_many_awake() const { return awake > cores(); }
  // No work was taken for a moment, or the oldest waits for long all the same: the workers awake
  // are blocked on something else than the cores.
  bool overdue() const;

  void spawn();
  // The last one to become idle comes first: its caches are warm.
  void wake_one();
  // Finds a worker for what waits, or one that watches how long it waits.
  void dispatch();

  Queue queue;
  std::list<Worker> workers;
  std::vector<Worker*> idle;
  size_t connecting = 0, connected = 0;
  size_t awake = 0;       // workers neither idle nor connecting
  size_t running = 0;     // workers that have not finished
  bool standby = false;   // a worker watches the oldest job instead of working
  uint64_t taken_ns = 0;  // when work was taken last

 private:
  static size_t cores();

  Pool& pool_;
  const SessionSettings& session_;
  const size_t replica_;  // which one, or kPrimary
  const size_t min_, max_;
};

}  // namespace database
