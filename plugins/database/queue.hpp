// Queue: jobs that wait for the sessions of one lane. Lookups join a batch that waits already, and
// writes leave together. Used under the pool's mutex.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "backend.hpp"
#include "job.hpp"
#include "lookup_batch.hpp"

namespace database {

class Queue {
 public:
  // `batch`: lookups of one query and writes of one transaction, at most.
  Queue(const Backend& backend, size_t batch) : backend_(backend), batch_(batch) {}

  bool empty() const { return jobs_.empty(); }
  size_t size() const { return size_; }  // lookups counted one by one
  uint64_t oldest_ns() const { return jobs_.front()->queued_ns; }

  void push(std::unique_ptr<Job> job);
  void push_front(std::unique_ptr<Job> job);
  // False where no batch that waits takes it.
  bool join(const bh_sql_lookup& lookup, bulkhead::Span& span);
  // Others may join it.
  void push_batch(std::unique_ptr<LookupBatch> batch);

  // The oldest job; where it is a write, those that wait behind it too, up to a batch.
  std::vector<std::unique_ptr<Job>> take();
  std::deque<std::unique_ptr<Job>> take_all();
  // Reads whose callers have left.
  std::vector<std::unique_ptr<Job>> take_left(const std::function<bool(bh_exchange*)>& left);

 private:
  bool together(const Job& job) const {
    return job.write() != nullptr && (backend_.any_writes_together || job.kind() == JobKind::kInsert);
  }

  const Backend& backend_;
  const size_t batch_;
  std::deque<std::unique_ptr<Job>> jobs_;
  size_t size_ = 0;
  std::vector<LookupBatch*> open_;  // of the jobs, batches that are not full
};

}  // namespace database
