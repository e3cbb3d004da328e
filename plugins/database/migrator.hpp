// Migrator: applies what was registered before any other work runs, on a worker of the primary.
// Used under the pool's mutex, but for the statements themselves.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>

#include "migrations.hpp"
#include "session.hpp"

namespace database {

class Pool;
class Worker;

class Migrator {
 public:
  // `direct`: the way past a pooler, or null.
  Migrator(Pool& pool, const std::optional<SessionSettings>& direct) : pool_(pool), direct_(direct) {}

  Migrations& migrations() { return migrations_; }
  const Migrations& migrations() const { return migrations_; }
  bool pending() const { return migrations_.pending(); }
  // Of a set that failed for good; or "".
  std::string failed() const;
  // Why what is pending cannot be applied yet, where the pool does not say it; or "".
  const std::string& why_not() const { return why_not_; }

  // On the worker's thread. Nothing where another worker does it already.
  void apply(Worker& worker, std::unique_lock<std::mutex>& lock);
  // False after the timeout.
  bool wait(std::unique_lock<std::mutex>& lock, uint32_t timeout_ms);
  // Ends waits: the pool stops.
  void stop() { settled_.notify_all(); }
  // What it waits for gives up at once.
  void interrupt() {
    if (session_ != nullptr) session_->interrupt();
  }
  // Ends the waits: no migration will come.
  void refuse(const Outcome& outcome);

 private:
  Outcome run(Worker& worker, const Migrations::Set& set);
  // Lost, or another host holds the lock for longer than a statement may wait: again, later.
  void postpone(Worker& worker, const Outcome& outcome, std::unique_lock<std::mutex>& lock);
  void settle(Migrations::Set& set, const Outcome& outcome, std::unique_lock<std::mutex>& lock);

  Pool& pool_;
  const std::optional<SessionSettings>& direct_;
  Migrations migrations_;
  bool applying_ = false;
  std::string why_not_;
  Session* session_ = nullptr;  // that migrates, past a pooler
  std::condition_variable settled_;
};

}  // namespace database
