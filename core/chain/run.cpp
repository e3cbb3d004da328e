#include "core/chain/run.hpp"

#include <exception>
#include <utility>

#include "core/chain/runner.hpp"

namespace bulkhead::chain {

void Run::start(Runner& by, Channel& to, std::shared_ptr<const Table> with) {
  runner = &by;
  channel = &to;
  table = std::move(with);
  plan = &table->unmatched;
  loans_.clear();
  started_.store(true, std::memory_order_release);
}

const bh_request* Run::lend(const bh_request* lent) {
  const std::lock_guard lock(mutex_);
  return loans_.emplace_back(std::make_unique<LentRequest>(*lent))->view();
}

void Run::end_loan(const bh_request* lent) {
  if (holds() != 0) return;  // until clear(): a holder of the exchange may read it
  const std::lock_guard lock(mutex_);
  for (const auto& loan : loans_)
    if (loan->view() == lent) loan->poison();
}

void Run::skip_hooks() {
  static const Plan kNoHooks;
  plan = &kNoHooks;
}

void Run::clear() {
  started_.store(false, std::memory_order_release);
  for (const auto& loan : loans_) loan->poison();  // and kept, until the run is used again
  Exchange::clear();
  runner = nullptr;
  channel = nullptr;
  table.reset();
  plan = nullptr;
  endpoint = nullptr;
  enter(kReceiveRow);
  waiting = Waiting::kNo;
  current = {};
  timeout_ms = 0;
  aborted = false;
  bytes_out = finished_ns = 0;
  timed_step = kNoStep;
  ticket_.fetch_add(1, std::memory_order_relaxed);
  end_turn();
}

bool Run::edit(const bh_reply& change) {
  const std::lock_guard lock(mutex_);
  const size_t at = row();
  if (!step_is_current() || at > kRespondRow) return false;
  if (at < kRespondRow && change.body.ptr != nullptr) return false;  // there is no answer yet to have it
  if (at == kRespondRow)
    answer.edit(change);
  else
    answer.keep_edit(change);
  return true;
}

uint32_t Run::issue_ticket() {
  const uint32_t ticket = ticket_.fetch_add(1, std::memory_order_acq_rel) + 1;
  result_.store(uint64_t{ticket - 1} << 32, std::memory_order_release);  // an older one may be half round
  return ticket;
}

void Run::supersede() {
  const std::lock_guard lock(mutex_);
  ticket_.fetch_add(1, std::memory_order_acq_rel);
}

void Run::set_result(uint32_t ticket, bh_flow flow, const bh_error& err) {
  if (flow < 0) {
    const std::lock_guard lock(mutex_);
    if (ticket_.load(std::memory_order_relaxed) == ticket) error_ = err;
  }
  uint64_t seen = result_.load(std::memory_order_acquire);
  const uint64_t mine = (uint64_t{ticket} << 32) | static_cast<uint32_t>(flow);
  while (static_cast<int32_t>(ticket - static_cast<uint32_t>(seen >> 32)) > 0 &&
         !result_.compare_exchange_weak(seen, mine, std::memory_order_acq_rel)) {
  }
}

bool Run::take_result(bh_flow* flow, bh_error* err) {
  const uint64_t result = result_.load(std::memory_order_acquire);
  if (static_cast<uint32_t>(result >> 32) != ticket_.load(std::memory_order_relaxed)) return false;
  *flow = static_cast<bh_flow>(static_cast<uint32_t>(result));
  const std::lock_guard lock(mutex_);
  *err = error_;
  return true;
}

void Run::expired() { move(&Runner::timed_out); }
void Run::go_on() { move(&Runner::advance); }

void Run::call(const exchange::Notes::Callback& due) { runner->call(*this, "call", due); }

void Run::move(Wait (Runner::*how)(Run&)) {
  try {
    const Wait wait = (runner->*how)(*this);
    if (channel != nullptr) channel->moved(*this, wait);
  } catch (const std::exception&) {  // out of memory: this connection pays, the others go on
    if (channel != nullptr) channel->failed();
  }
}

}  // namespace bulkhead::chain
