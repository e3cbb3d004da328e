// Run: one exchange on its way through the course: where it is, whose turn it is, and what it waits
// for.
//
// The home thread alone takes it further. [any] thread: resume, edit; the executor: its result.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/chain/lent_request.hpp"
#include "core/chain/table.hpp"
#include "core/exchange/exchange.hpp"

namespace bulkhead::chain {

class Runner;
class Run;

// What a run waits for when the runner returns.
enum class Wait : uint8_t {
  kSame,    // what it waited for before
  kPlugin,  // a step, on the executor or elsewhere: a wake follows
  kBody,    // the caller's body: Runner::body_arrived()
  kWrite,   // the answer is ready: Runner::written()
  kOver
};

// Where the answer goes: the protocol of a connection. Home thread.
class Channel {
 public:
  // The run came to wait for something else, after a wake or a timeout.
  virtual void moved(Run& run, Wait wait) = 0;
  // The run cannot go on: its memory ran out.
  virtual void failed() = 0;

 protected:
  ~Channel() = default;
};

class Run final : public exchange::Exchange {
 public:
  explicit Run(exchange::Home& home) : Exchange(home) {}

  static Run* of(bh_exchange* handle) { return static_cast<Run*>(Exchange::of(handle)); }

  // Before the first Runner::advance(). Where the channel goes before the run, set `channel` to
  // null.
  void start(Runner& runner, Channel& channel, std::shared_ptr<const Table> table);
  void clear() override;

  // ---- [any]
  // Before RESPOND the change is kept, in RESPOND applied. False, and nothing is changed or
  // released, where the calling step is over, or is none, or where a body comes before RESPOND.
  bool edit(const bh_reply& change);
  // The calling thread is in the step that counts: one that was timed out on the executor does not.
  bool step_is_current() const {
    return stepping_here() && (step_ticket() == 0 || step_ticket() == ticket_.load(std::memory_order_acquire));
  }
  size_t row() const { return row_.load(std::memory_order_acquire); }

  // Only the plugin whose step runs or is waited for may resume the run. False where it is not the
  // owner's turn, or it has resumed already.
  bool resume(const Owner* owner) {
    uintptr_t expected = reinterpret_cast<uintptr_t>(owner);
    return turn_.compare_exchange_strong(expected, expected | 1, std::memory_order_acq_rel);
  }
  // It has resumed, and the host has not seen that yet.
  bool resumed_by(const Owner* owner) const {
    return turn_.load(std::memory_order_acquire) == (reinterpret_cast<uintptr_t>(owner) | 1);
  }
  bool resumed() const { return (turn_.load(std::memory_order_acquire) & 1) != 0; }

  // [any] Between start() and clear().
  bool started() const { return started_.load(std::memory_order_acquire); }
  // [any] Plugins may use it: it is lent to a step that runs, to a sink or to an on_end callback.
  bool lent() const { return loans_under_way_.load(std::memory_order_acquire) != 0; }
  // [home thread] Lends it outside of a step.
  template <typename Work>
  void while_lent(Work work) {
    const Loan loan(*this);
    work();
  }
  // In checked mode: a copy for one step, poisoned when the loan ends.
  class Loan {
   public:
    explicit Loan(Run& run) : run_(run) { run_.loans_under_way_.fetch_add(1, std::memory_order_acq_rel); }
    ~Loan() { run_.loans_under_way_.fetch_sub(1, std::memory_order_acq_rel); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

   private:
    Run& run_;
  };
  const bh_request* lend(const bh_request* request);
  void end_loan(const bh_request* lent);

  // ---- home thread
  // What arrived was not understood as a request: no plugin is told of it.
  void skip_hooks();
  void enter(size_t row) {
    row_.store(static_cast<uint8_t>(row), std::memory_order_release);
    position = 0;
  }
  void begin_turn(const Owner* owner) { turn_.store(reinterpret_cast<uintptr_t>(owner), std::memory_order_release); }
  void end_turn() { turn_.store(0, std::memory_order_release); }
  // The request as the owner of a step may see it.
  const bh_request* request_for(const Owner& owner) {
    if (owner.sees_authorization && owner.sees_cookie) return &request;
    return request.blanked(!owner.sees_authorization, !owner.sees_cookie);
  }

  // A step on the executor has a ticket. A late finisher never overwrites a newer result.
  uint32_t issue_ticket();
  // A step that still runs on the executor no longer counts.
  void supersede();
  // [any] The executor's: whether the step still counts, and how it ended.
  bool ticket_is_current(uint32_t ticket) const { return ticket_.load(std::memory_order_acquire) == ticket; }
  void set_result(uint32_t ticket, bh_flow flow, const bh_error& err);
  // True where the result of the current ticket has come.
  bool take_result(bh_flow* flow, bh_error* err);

  Runner* runner = nullptr;
  Channel* channel = nullptr;
  std::shared_ptr<const Table> table;
  const Plan* plan = nullptr;
  const Endpoint* endpoint = nullptr;  // matched path where no plan did

  enum class Waiting : uint8_t { kNo, kPlugin, kExecutor };
  Waiting waiting = Waiting::kNo;
  size_t position = 0;       // within the row's steps
  std::string_view current;  // plugin whose step runs or is waited for
  uint32_t timeout_ms = 0;   // of the route, 0: the host's
  bool aborted = false;      // the caller left first
  uint64_t bytes_out = 0;    // head and body
  uint64_t finished_ns = 0;

  // The step whose time is being taken, by its number in the table; none while the host itself
  // works.
  static constexpr uint32_t kNoStep = UINT32_MAX;
  uint32_t timed_step = kNoStep;
  uint64_t step_began = 0;       // ticks
  bh_span* step_span = nullptr;  // where steps are traced

 private:
  void expired() override;
  void go_on() override;
  void call(const exchange::Notes::Callback& due) override;
  void move(Wait (Runner::*how)(Run&));

  std::atomic<uint8_t> row_{kReceiveRow};  // written on the home thread only
  std::atomic<uintptr_t> turn_{0};         // the owner's address; the lowest bit says that it has resumed
  std::atomic<uint32_t> ticket_{0};        // of the step on the executor; tickets wrap
  std::atomic<uint64_t> result_{0};        // ticket << 32 | flow
  std::atomic<bool> started_{false};
  std::atomic<uint32_t> loans_under_way_{0};
  std::mutex mutex_;  // a step that is superseded changes nothing any more
  bh_error error_{};
  std::vector<std::unique_ptr<LentRequest>> loans_;  // in checked mode
};

}  // namespace bulkhead::chain
