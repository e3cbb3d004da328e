// Runner: takes one exchange after another along the course, on the exchange's home thread. Steps
// that block run on the executor.
//
// Each call that takes a run further returns what the run waits for; the channel acts on that.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "core/chain/run.hpp"
#include "core/chain/table.hpp"
#include "core/runtime/executor.hpp"
#include "core/telemetry/tracing.hpp"

namespace bulkhead::chain {

struct RunnerSettings {
  uint32_t request_timeout_ms;
  bool enforce_scopes;
};

class Runner {
 public:
  // (exchange, plugin, what is wrong): a defect of a plugin, or a 500 whose reason the caller must
  // not see.
  using Report = std::function<void(exchange::Exchange&, std::string_view, std::string_view)>;

  Runner(RunnerSettings settings, runtime::Executor& executor, telemetry::Tracing& tracing, Report report)
      : settings_(settings), executor_(executor), tracing_(tracing), report_(std::move(report)) {}

  // [any] Publishes a new table; exchanges that began with the old one finish with it.
  void publish(std::shared_ptr<const Table> table);
  std::shared_ptr<const Table> table() const;
  // Changes with every publish().
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  // ---- home thread of the run
  // Until it waits for something. The same wait told again means nothing new for the channel.
  Wait advance(Run& run);
  // What Wait::kBody waited for. The view lives as long as the request.
  Wait body_arrived(Run& run, std::string_view body);
  // What Wait::kWrite waited for: the answer has left.
  Wait written(Run& run);
  // The caller has left: 499.
  Wait abandoned(Run& run);
  // The host answers instead: 400, 408, 413, ... Nothing of the request runs any further.
  // `field` is one more of the answer, such as Accept-Encoding.
  Wait refuse(Run& run, int status, std::string_view detail, std::string_view field = {}, std::string_view value = {});
  Wait timed_out(Run& run);

  uint32_t request_timeout_ms() const { return settings_.request_timeout_ms; }
  void report(Run& run, std::string_view what) { report_(run, run.answer.author(), what); }
  // Calls a plugin outside of its steps. What it throws is reported.
  void call(Run& run, std::string_view what, const exchange::Notes::Callback& callback);

 private:
  enum class Outcome : uint8_t { kNext, kAnswered, kSuspended };

  bool take_result(Run& run);
  Outcome settle(Run& run, bh_flow flow, const bh_error& err);
  Outcome run_steps(Run& run);
  Outcome run_step(Run& run, const StepRef& step);
  Outcome start_step(Run& run, const StepRef& step);
  Outcome start_blocking(Run& run, const StepRef& step);
  void route(Run& run);
  // False where the host answered instead of the route.
  bool admit(Run& run);
  void suspend(Run& run, Run::Waiting waiting);
  void arm_deadline(Run& run);
  void fail(Run& run, std::string_view what);
  // The step that ran or was waited for is over; the next one begins this moment.
  void end_step(Run& run);
  void begin_span(Run& run, const StepRef& step);
  void run_end_callbacks(Run& run);
  // What the run waits for no longer counts.
  void stop_waiting(Run& run);
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
