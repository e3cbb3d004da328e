#include "queue.hpp"

#include <utility>

namespace database {

namespace {

// Of the values of a transaction's writes: all of them fit the socket, so that neither side waits
// for the other.
constexpr size_t kBatchBytes = 32 * 1024;

}  // namespace

void Queue::push(std::unique_ptr<Job> job) {
  size_ += job->size();
  jobs_.push_back(std::move(job));
}

void Queue::push_front(std::unique_ptr<Job> job) {
  size_ += job->size();
  jobs_.push_front(std::move(job));
}

bool Queue::join(const bh_sql_lookup& lookup, bulkhead::Span& span) {
  for (LookupBatch* batch : open_) {
    if (!batch->takes(lookup)) continue;
    batch->add(lookup, std::move(span));
    ++size_;
    if (batch->size() >= batch_) std::erase(open_, batch);
    return true;
  }
  return false;
}

void Queue::push_batch(std::unique_ptr<LookupBatch> batch) {
  if (batch_ > 1) open_.push_back(batch.get());
  push(std::move(batch));
}

std::vector<std::unique_ptr<Job>> Queue::take() {
  std::vector<std::unique_ptr<Job>> taken;
  taken.push_back(std::move(jobs_.front()));
  jobs_.pop_front();
  std::erase_if(open_, [&](const LookupBatch* batch) { return batch == taken.front().get(); });
  if (together(*taken.front())) {
    size_t bytes = taken.front()->bytes();
    for (auto& job : jobs_) {
      if (taken.size() >= batch_ || bytes > kBatchBytes) break;
      if (!together(*job)) continue;
      bytes += job->bytes();
      taken.push_back(std::move(job));
    }
    std::erase(jobs_, nullptr);
  }
  for (const auto& job : taken) size_ -= job->size();
  return taken;
}

std::deque<std::unique_ptr<Job>> Queue::take_all() {
  size_ = 0;
  open_.clear();
  return std::exchange(jobs_, {});
}

std::vector<std::unique_ptr<Job>> Queue::take_left(const std::function<bool(bh_exchange*)>& left) {
  std::vector<std::unique_ptr<Job>> taken;
  for (auto& job : jobs_)
    if (job->reads_alone() && left(job->exchange())) taken.push_back(std::move(job));
  std::erase(jobs_, nullptr);
  size_ -= taken.size();
  return taken;
}

}  // namespace database
