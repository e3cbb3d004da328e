// Worker: one session and the thread that uses it.
#pragma once

#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "job.hpp"
#include "session.hpp"

namespace database {

class Lane;
class Pool;

// The pool's mutex is held in every call but the destructor's, and where said otherwise.
class Worker {
 public:
  Worker(Pool& pool, Lane& lane);
  // Joins.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Throws std::system_error where there is no thread to be had.
  void start();
  bool finished() const { return finished_; }
  // It looks for work, or stops.
  void signal() {
    signalled_ = true;
    wake_.notify_one();
  }
  // The lane has a connection again: it need not wait for its next attempt.
  void retry() { wake_.notify_one(); }
  // Once woken it watches the oldest job instead of working.
  void stand_by() { stands_by_ = true; }
  Session& session() { return *session_; }
  Lane& lane() { return lane_; }
  void wait_for(std::unique_lock<std::mutex>& lock, std::chrono::milliseconds time, bool also_when_draining);
  // [not held] Joins once it was told to stop.
  void join();

  // The caller it reads for alone, or null.
  bh_exchange* reads_for() const { return reads_for_; }
  // Asks the database to break off that read. The request, or nothing; the session begins no other
  // statement before `sent`.
  std::function<void()> cancel(std::shared_future<void> sent);

  // [not held] The connection broke.
  void lost(const std::string& why);

 private:
  void work();
  // Connects with back-off. False when stopping, or when the server takes no more sessions.
  bool connect(std::unique_lock<std::mutex>& lock);
  // [not held] One attempt.
  bool connect_once();
  void watch_oldest(std::unique_lock<std::mutex>& lock);
  void take_and_run(std::unique_lock<std::mutex>& lock);
  // Until there may be work. False where it was idle for so long that it leaves.
  bool idle(std::unique_lock<std::mutex>& lock);
  // It no longer counts among the lane's.
  void leave();

  // [not held]
  void run(std::unique_ptr<Job> job);
  void run_together(const std::vector<std::unique_ptr<Job>>& jobs);
  // Where the connection was lost: runs the job once more on another, if it certainly did nothing.
  // True where another worker has it now.
  bool repeat(std::unique_ptr<Job>& job, Outcome* outcome);
  void forget_caller();

  Pool& pool_;
  Lane& lane_;
  const std::unique_ptr<Session> session_;
  std::condition_variable wake_;
  std::thread thread_;
  bool signalled_ = false, finished_ = false, stands_by_ = false, left_ = false;
  std::chrono::milliseconds idle_{0};
  // Null before `done`, which may end the exchange, and once it was asked to break off.
  bh_exchange* reads_for_ = nullptr;
  std::shared_future<void> cancelled_;  // valid: a request is, or was, on its way to the server
};

}  // namespace database
