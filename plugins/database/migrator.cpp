#include "migrator.hpp"

#include <chrono>
#include <utility>

#include "pool.hpp"
#include "worker.hpp"

namespace database {

using std::chrono::milliseconds;

std::string Migrator::failed() const {
  std::string why;
  for (const Migrations::Set& set : migrations_.sets())
    if (!set.error.empty()) why = set.error;
  return why;
}

void Migrator::apply(Worker& worker, std::unique_lock<std::mutex>& lock) {
  if (applying_ || !pending()) return;
  applying_ = true;
  for (size_t i = 0; i < migrations_.sets().size(); ++i) {
    if (migrations_.sets()[i].applied || !migrations_.sets()[i].error.empty()) continue;
    if (pool_.draining()) break;
    const Migrations::Set set = migrations_.sets()[i];
    Outcome outcome;
    pool_.unlocked(lock, [&] { outcome = run(worker, set); });
    if (outcome.lost || outcome.status == BH_E_TIMEOUT || outcome.status == BH_E_UNAVAILABLE) {
      postpone(worker, outcome, lock);
      break;
    }
    settle(migrations_.sets()[i], outcome, lock);
  }
  applying_ = false;
  pool_.dispatch_all();  // what has waited for it
}

Outcome Migrator::run(Worker& worker, const Migrations::Set& set) {
  const Backend& backend = *pool_.settings().session.url.backend;
  if (!direct_) return Migrations::apply(worker.session(), backend, set);
  const std::unique_ptr<Session> direct = backend.make_session(*direct_);
  {
    const std::lock_guard lock(pool_.mutex());
    session_ = direct.get();
  }
  Outcome outcome = direct->connect();
  if (outcome.status == BH_OK) outcome = Migrations::apply(*direct, backend, set);
  const std::lock_guard lock(pool_.mutex());
  session_ = nullptr;
  return outcome;
}

void Migrator::postpone(Worker& worker, const Outcome& outcome, std::unique_lock<std::mutex>& lock) {
  static constexpr milliseconds kLockPause{50}, kServerPause{500};
  if (direct_)
    why_not_ = outcome.message;
  else
    pool_.set_why_down(outcome.message);
  pool_.tell_health();
  if (!outcome.lost) {
    worker.wait_for(lock, kLockPause, false);
  } else if (direct_) {
    worker.wait_for(lock, kServerPause, true);
  } else {
    lock.unlock();
    worker.lost(outcome.message);
    lock.lock();
  }
  pool_.tell_health();
}

void Migrator::settle(Migrations::Set& set, const Outcome& outcome, std::unique_lock<std::mutex>& lock) {
  set.applied = outcome.status == BH_OK;
  if (!set.applied) {
    set.error = outcome.message;
    pool_.host().error("migration failed", {{"owner", set.owner}, {"reason", outcome.message}});
  }
  const auto done = std::exchange(set.done, nullptr);
  void* const arg = set.arg;
  pool_.tell_health();
  if (done != nullptr)
    pool_.unlocked(lock, [&] {
      const bh_sql_result result = result_of(outcome);
      done(arg, &result);
    });
  settled_.notify_all();
}

bool Migrator::wait(std::unique_lock<std::mutex>& lock, uint32_t timeout_ms) {
  return settled_.wait_for(lock, milliseconds(timeout_ms), [this] { return pool_.stopping() || !pending(); });
}

void Migrator::refuse(const Outcome& outcome) {
  const bh_sql_result result = result_of(outcome);
  for (Migrations::Set& set : migrations_.sets())
    if (const auto done = std::exchange(set.done, nullptr); done != nullptr) done(set.arg, &result);
}

}  // namespace database
