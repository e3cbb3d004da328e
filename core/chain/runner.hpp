// Runner: takes one exchange after another through the phases.
//
// begin -> RECEIVE -> route -> ADMIT .. AUTHORIZE -> body -> PREPARE -> step ->
// RESPOND -> (connection writes) -> COMPLETE. All of it on the exchange's home
// thread, but for BH_BLOCKING steps, which run on the executor.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "core/chain/table.hpp"
#include "core/exchange/exchange.hpp"
#include "core/runtime/executor.hpp"
#include "core/telemetry/tracing.hpp"

namespace bulkhead::chain {

struct RunnerSettings {
  uint32_t request_timeout_ms = 30'000;
  bool enforce_scopes = true;
};

class Runner {
 public:
  using Exchange = exchange::Exchange;
  // (exchange, plugin, what is wrong): a defect of a plugin, or a 500 whose reason the caller must
  // not see.
  using Report = std::function<void(Exchange&, std::string_view, std::string_view)>;

  Runner(RunnerSettings settings, runtime::Executor& executor, telemetry::Tracing& tracing, Report report)
      : settings_(settings), executor_(executor), tracing_(tracing), report_(std::move(report)) {}

  // [any] Publishes a new table; exchanges that began with the old one finish with it.
  void publish(std::shared_ptr<const Table> table);
  std::shared_ptr<const Table> table() const;
  // Changes with every publish().
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  // ---- the exchange's home thread
  // The head is parsed: runs until the exchange waits, or its answer is with the channel.
  void begin(Exchange& ex);
  void advance(Exchange& ex);
  void body_arrived(Exchange& ex);
  // The host answers instead: 400, 408, 413, ... Nothing of the request runs any further.
  // `field` is one more of the answer, such as Accept-Encoding.
  void refuse(Exchange& ex, int status, std::string_view detail, std::string_view field = {},
              std::string_view value = {});
  void timed_out(Exchange& ex);
  uint32_t request_timeout_ms() const { return settings_.request_timeout_ms; }
  void report(Exchange& ex, std::string_view what) { report_(ex, ex.outcome().author, what); }
  // The answer has left.
  void written(Exchange& ex);
  // The caller has left: 499.
  void abandoned(Exchange& ex);

 private:
  enum class Outcome : uint8_t { kNext, kAnswered, kSuspended };

  bool take_result(Exchange& ex);
  Outcome settle(Exchange& ex, bh_flow flow, const bh_error& err);
  Outcome run_steps(Exchange& ex, const std::vector<StepRef>& steps);
  Outcome run_step(Exchange& ex, const StepRef& step);
  Outcome start_step(Exchange& ex, const StepRef& step);
  void route(Exchange& ex);
  void suspend(Exchange& ex, exchange::Waiting waiting);
  void fail(Exchange& ex, std::string_view what);
  void enter(Exchange& ex, exchange::Stage stage);
  // The step that ran or was waited for is over; the next one begins this moment.
  void end_step(Exchange& ex);
  void begin_span(Exchange& ex, const StepRef& step);
  // What the exchange waits for no longer counts.
  void stop_waiting(Exchange& ex);
  static void run_blocking(const runtime::Task& task);

  const RunnerSettings settings_;
  runtime::Executor& executor_;
  telemetry::Tracing& tracing_;
  Report report_;
  std::atomic<uint64_t> generation_{0};
  mutable std::mutex mutex_;
  std::shared_ptr<const Table> table_;
};

}  // namespace bulkhead::chain
