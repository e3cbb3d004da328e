// Exchange: one request and its answer, from the first byte to COMPLETE.
//
// Two counters. References keep the memory; holds are what plugins retain. When
// the last hold goes and no answer was given, the host answers 500 for them.
//
// Threads. An exchange belongs to one I/O thread, its home: only that thread
// advances it, parses into it and writes its answer. From any thread: hold,
// release, reply, fail, resume, put, get. The answer is claimed by one atomic
// step, so exactly one of plugin, deadline and disconnect wins.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.h"
#include "bulkhead/value.hpp"
#include "core/exchange/arena.hpp"
#include "core/exchange/deadline.hpp"
#include "core/exchange/slab.hpp"

namespace bulkhead::chain {
struct Table;
struct Plan;
struct Endpoint;
struct Owner;
class Runner;
}  // namespace bulkhead::chain

namespace bulkhead::exchange {

class Exchange;

// The I/O thread an exchange lives on.
class Home {
 public:
  explicit Home(size_t number) : number_(number) {}
  // Its place among the I/O threads.
  size_t number() const { return number_; }
  // Any thread: advance (or recycle) the exchange soon, on the home thread.
  virtual void post(Exchange* exchange) = 0;
  virtual bool on_thread() const = 0;
  virtual void recycle(Exchange* exchange) = 0;
  virtual DeadlineQueue& deadlines() = 0;
  // Bytes of large bodies held in memory, against the limit for all of them.
  virtual void body_released(size_t bytes) = 0;
  virtual void give_slab(SlabRef slab) = 0;
  virtual void timed_out(Exchange& exchange) = 0;

 protected:
  ~Home() = default;

 private:
  const size_t number_;
};

// The connection an exchange came in on. Home thread only; null once it is gone.
class Channel {
 public:
  virtual void body_wanted(Exchange& exchange) = 0;
  virtual void answer_ready(Exchange& exchange) = 0;
  // The exchange cannot go on: whoever waits for it is let go.
  virtual void failed() = 0;

 protected:
  ~Channel() = default;
};

// An answer as it stands: header names in lower case, everything lent.
struct Answer {
  int32_t status = 0;
  std::vector<bh_pair> headers;
  std::string_view body;
  void (*release)(void*) = nullptr;
  void* arg = nullptr;
  std::string_view author;  // id of the plugin, "" = host
};

enum class Stage : uint8_t {
  kReceive,   // hooks before routing
  kAdmit,     // hooks of the plan up to AUTHORIZE
  kBody,      // waiting for the body
  kPrepare,   // hooks
  kStep,      // the route's own step
  kRespond,   // hooks, reverse
  kWriting,   // with the connection
  kComplete,  // hooks
  kEnded
};

enum class Waiting : uint8_t { kNo, kPlugin, kExecutor };

class Exchange final : public DeadlineEntry {
 public:
  explicit Exchange(Home& home) : home_(home) {}
  ~Exchange() {
    drop_answer();
    drop_attachments();
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  static Exchange* of(bh_exchange* handle) { return reinterpret_cast<Exchange*>(handle); }
  bh_exchange* handle() { return reinterpret_cast<bh_exchange*>(this); }

  // This thread is inside a step of the exchange: what the step causes is seen when it returns, no
  // wake is needed.
  class StepScope {
   public:
    explicit StepScope(Exchange& ex, uint32_t ticket) : outer_(stepping_), outer_ticket_(step_ticket_) {
      stepping_ = &ex;
      step_ticket_ = ticket;
    }
    ~StepScope() {
      stepping_ = outer_;
      step_ticket_ = outer_ticket_;
    }
    StepScope(const StepScope&) = delete;
    StepScope& operator=(const StepScope&) = delete;

   private:
    Exchange* const outer_;
    const uint32_t outer_ticket_;
  };
  bool stepping_here() const { return stepping_ == this; }

  // ---- counters [any]
  void ref() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void unref();
  bool unreferenced() const { return refs_.load(std::memory_order_acquire) == 0; }
  void hold() {
    holds_.fetch_add(1, std::memory_order_relaxed);
    ref();
  }
  void unhold();
  uint32_t holds() const { return holds_.load(std::memory_order_acquire); }
  // Asks the home thread to look at this exchange again. Cheap when already asked.
  void wake();

  // ---- the answer [any]
  bool answered() const { return answer_state_.load(std::memory_order_acquire) == kSet; }
  bool open() const { return answer_state_.load(std::memory_order_acquire) == kOpen; }
  // Copies headers, takes or copies the body. False if another answer came first or
  // the caller left; the reply's release has been called then.
  bool answer(const bh_reply& reply, std::string_view author);
  // The same for a body the host itself makes; it is copied.
  bool answer(int32_t status, std::string_view content_type, std::string_view body, std::string_view author,
              const bh_pair* extra = nullptr, size_t extra_count = 0);
  // The caller is gone: no answer is taken any more. True if none was given.
  bool close();
  void expired() override { home_.timed_out(*this); }
  bool live() const { return live_.load(std::memory_order_acquire); }
  void end_life() { live_.store(false, std::memory_order_release); }

  // ---- attributes and changes to the answer [any while lent or held]
  void put(std::string_view key, std::string_view value);
  bool get(std::string_view key, std::string_view* value);
  // RESPOND: applied at once; before: kept and applied when the answer comes. False, and nothing is
  // changed or released, where the calling step is over: answered by another, or not a step
  // at all.
  bool edit(const bh_reply& change);
  // Data that `owner` keeps here until the exchange is over and released. False where the key is
  // taken.
  bool attach(const void* owner, std::string_view key, void* data, void (*release)(void*));
  void* attached(const void* owner, std::string_view key);
  // The plugins are gone: what they attached is left alone.
  void forget_attachments() { attached_.clear(); }
  // Calls run(arg) soon, on the home thread. The caller holds the exchange until then.
  void call_at_home(void (*run)(void*), void* arg);
  // A step that still runs on the executor no longer counts.
  void supersede();
  bool step_is_current() const;
  void apply_edits();

  // ---- the trace it belongs to. Ids are set once, in RECEIVE, on the home thread. [any] reads.
  void set_trace(const uint8_t (&trace_id)[16], const uint8_t (&span_id)[8], uint32_t flags);
  bool traced() const { return trace_state_.load(std::memory_order_acquire) != 0; }
  uint32_t trace_flags() const { return trace_state_.load(std::memory_order_acquire) & ~kTraced; }

  // Home thread, in RESPOND and later.
  const Answer& outcome() const { return answer_; }

  // ---- home thread
  Home& home() { return home_; }
  void reset();
  void drop_answer();
  void run_calls();
  void run_end_callbacks();
  void on_end(void (*run)(void*), void* arg);
  char* allocate(size_t bytes);  // under the lock: plugins may be allocating too
  std::string_view copy(std::string_view text);

  bh_request request{};
  std::vector<bh_pair> headers;
  std::array<bh_pair, 16> params{};
  SlabRef head_slab, body_slab;
  size_t body_charge = 0;
  bool body_complete = true, keep_alive = false, head_only = false, expect_continue = false;
  bool body_coded = false;  // has a Content-Encoding
  std::string body_text;    // a body that came in chunks or in a content coding, decoded
  Channel* channel = nullptr;
  chain::Runner* runner = nullptr;
  Exchange* next_pipelined = nullptr;

  std::shared_ptr<const chain::Table> table;
  const chain::Plan* plan = nullptr;
  const chain::Endpoint* endpoint = nullptr;  // matched path where no plan did
  std::string_view match_path;                // as sent, dot segments resolved
  std::atomic<Stage> stage{Stage::kReceive};  // written on the home thread only
  Waiting waiting = Waiting::kNo;
  size_t position = 0;  // within the stage's hooks
  // The step whose time is being taken, by its number in the table; none while the host itself
  // works.
  static constexpr uint32_t kNoStep = UINT32_MAX;
  uint32_t timed_step = kNoStep;
  uint64_t step_began = 0;       // ticks
  bh_span* step_span = nullptr;  // where steps are traced
  uint32_t timeout_ms = 0;
  bool timed_out = false, aborted = false;  // aborted: the caller left first
  std::string_view current;                 // plugin whose step runs or is waited for
  uint64_t bytes_in = 0, bytes_out = 0, finished_ns = 0;
  std::string out_head;       // serialized status line and headers
  std::string_view body_out;  // what of the body goes out: nothing for HEAD
  char id_buffer[40], peer_buffer[48];

  // Views of the request for plugins that may not see authorization or cookie, made when needed.
  struct Blanked {
    bh_request request{};
    std::vector<bh_pair> headers;
    bool made = false;
  };
  std::array<Blanked, 3> blanked;
  bool has_authorization = false, has_cookie = false;

  // Executor hand-over: (ticket << 32 | flow). A late finisher never overwrites a newer result.
  // Tickets wrap.
  std::atomic<uint64_t> executor_result{0};
  std::atomic<uint32_t> executor_ticket{0};
  // Does nothing where the step is over already.
  void set_executor_error(uint32_t ticket, const bh_error& err) {
    const std::lock_guard lock(mutex_);
    if (executor_ticket.load(std::memory_order_relaxed) == ticket) executor_error_ = err;
  }
  bh_error executor_error() {
    const std::lock_guard lock(mutex_);
    return executor_error_;
  }

  // ---- whose turn it is: only the plugin whose step runs or is waited for may resume the exchange
  void begin_turn(const chain::Owner* owner) {
    turn_.store(reinterpret_cast<uintptr_t>(owner), std::memory_order_release);
  }
  void end_turn() { turn_.store(0, std::memory_order_release); }
  // [any] False where it is not the owner's turn, or it has resumed already.
  bool resume(const chain::Owner* owner) {
    uintptr_t expected = reinterpret_cast<uintptr_t>(owner);
    return turn_.compare_exchange_strong(expected, expected | 1, std::memory_order_acq_rel);
  }
  bool resumed() const { return (turn_.load(std::memory_order_acquire) & 1) != 0; }

  std::atomic<bool> queued{false};
  Exchange* next_queued = nullptr;

 private:
  static inline thread_local Exchange* stepping_ = nullptr;
  static inline thread_local uint32_t step_ticket_ = 0;  // of a step on the executor

  enum : int { kOpen, kClaimed, kSet, kClosed };
  struct Edit {
    std::string_view name, value;
    bool append, remove;
  };
  struct Attribute {
    std::string_view key, value;
  };
  struct Attached {
    const void* owner;
    std::string_view key;
    void* data;
    void (*release)(void*);
  };
  enum class End : uint8_t { kNobody, kWaited, kOver };
  struct Callback {
    void (*run)(void*);
    void* arg;
  };

  bool claim() {
    int expected = kOpen;
    return answer_state_.compare_exchange_strong(expected, kClaimed, std::memory_order_acq_rel);
  }
  void apply(const Edit& edit);
  void drop_attachments();
  std::string_view copy_locked(std::string_view text) { return arena_.copy(text); }

  static constexpr uint32_t kTraced = 1u << 31;

  Home& home_;
  std::atomic<uint32_t> trace_state_{0};  // W3C flags | kTraced
  std::atomic<uintptr_t> turn_{0};        // the owner's address; the lowest bit says that it has resumed
  std::atomic<uint32_t> refs_{0}, holds_{0};
  std::atomic<int> answer_state_{kOpen};
  std::atomic<bool> live_{true};
  std::atomic<End> end_{End::kNobody};  // whether on_end callbacks wait
  // The thread that claimed the answer fills it without a lock; then it belongs to the home thread
  // and the steps of RESPOND.
  Answer answer_;
  Arena answer_arena_;
  std::mutex mutex_;  // what follows
  bh_error executor_error_{};
  Arena arena_;
  std::vector<Attribute> attributes_;
  std::atomic<bool> has_attributes_{false};  // most requests have none: asking then takes no lock
  std::vector<Edit> edits_;
  std::atomic<bool> has_edits_{false};
  std::vector<Callback> callbacks_;
  std::vector<Attached> attached_;
  std::atomic<bool> has_attached_{false};
  std::vector<Callback> calls_;
  std::atomic<bool> has_calls_{false};
  int32_t edit_status_ = 0;
};

}  // namespace bulkhead::exchange
