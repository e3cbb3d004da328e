#include "core/chain/runner.hpp"

#include <string>
#include <utility>

#include "bulkhead/status.hpp"
#include "bulkhead/text/percent.hpp"
#include "core/chain/host_answers.hpp"
#include "core/chain/problem.hpp"
#include "core/chain/step_call.hpp"
#include "core/runtime/clock.hpp"
#include "core/runtime/frame.hpp"
#include "core/runtime/ticks.hpp"

namespace bulkhead::chain {

using Waiting = Run::Waiting;

namespace {

constexpr size_t kBodyRow = row_of(Work::kBody);

std::string_view message_of(const bh_error& err, std::string_view otherwise) {
  return err.message[0] != '\0' ? std::string_view(err.message) : otherwise;
}

std::string_view decode_segment(void* context, std::string_view segment) {
  auto& request = *static_cast<exchange::Request*>(context);
  char* out = request.allocate(segment.size());
  return {out, percent_decode(segment, out)};
}

}  // namespace

void Runner::publish(std::shared_ptr<const Table> table) {
  const std::lock_guard lock(mutex_);
  table_ = std::move(table);
  generation_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const Table> Runner::table() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

// ---------------------------------------------------------------- along the course

Wait Runner::advance(Run& run) {
  while (true) {
    if (run.waiting != Waiting::kNo) {
      if (!take_result(run)) return Wait::kPlugin;
      end_step(run);
    }
    if (run.row() < kRespondRow && !run.answer.open()) {
      if (!run.answer.answered()) {
        run.waiting = Waiting::kPlugin;  // another thread is giving the answer this moment; it wakes us
        if (!run.answer.answered()) return Wait::kPlugin;
        continue;
      }
      if (run.armed()) run.home().deadlines().disarm(run);
      run.enter(kRespondRow);
    }
    switch (kCourse[run.row()].work) {
      case Work::kHooks:
        if (const Outcome outcome = run_steps(run); outcome == Outcome::kSuspended)
          return Wait::kPlugin;
        else if (outcome == Outcome::kAnswered)
          continue;
        break;
      case Work::kStep:
        if (run_steps(run) == Outcome::kSuspended) return Wait::kPlugin;
        continue;  // answered, or about to be
      case Work::kRoute:
        route(run);
        break;
      case Work::kScope:
        if (!admit(run)) continue;
        break;
      case Work::kBody:
        if (run.request.body_complete) break;
        arm_deadline(run);
        return Wait::kBody;
      case Work::kWrite:
        run.answer.apply_kept_edits();
        if (run.armed()) run.home().deadlines().disarm(run);
        return Wait::kWrite;
      case Work::kOver:
        return Wait::kOver;
    }
    run.enter(run.plan->next[run.row()]);
  }
}

Wait Runner::body_arrived(Run& run, std::string_view body) {
  run.request.body_complete = true;
  if (run.row() != kBodyRow) return Wait::kSame;  // after a 504 a hook on the executor may be reading the request
  run.request.body = to_str(body);
  return advance(run);
}

Wait Runner::written(Run& run) {
  run.end_life();
  run.channel = nullptr;
  run.finished_ns = runtime::now_ns();
  run_end_callbacks(run);
  run.enter(kCompleteRow);
  return advance(run);
}

Wait Runner::abandoned(Run& run) {
  run.channel = nullptr;
  run.aborted = true;
  run.end_life();
  run.answer.close();
  if (run.armed()) run.home().deadlines().disarm(run);
  stop_waiting(run);
  run.finished_ns = runtime::now_ns();
  run_end_callbacks(run);
  run.enter(kCompleteRow);
  return advance(run);
}

Wait Runner::refuse(Run& run, int status, std::string_view detail, std::string_view field, std::string_view value) {
  if (!answer_problem(run, status, detail, {}, field, value)) return Wait::kSame;  // its answer is on the way already
  stop_waiting(run);
  return advance(run);
}

Wait Runner::timed_out(Run& run) {
  if (run.row() > kRespondRow) return Wait::kSame;
  const bool responding = run.row() == kRespondRow;
  if (responding || (run.answer.answered() && run.waiting == Waiting::kExecutor)) {
    // The answer is there: a hook that does not resume, or a step that does not return, no longer
    // holds it up.
    if (responding) {
      report_(run, run.current, "its RESPOND hook took too long and was skipped");
      ++run.position;
    }
    stop_waiting(run);
    return advance(run);
  }
  if (!answer_problem(run, 504, "No answer within the time this request may take.", run.current)) return Wait::kSame;
  run.end_life();
  stop_waiting(run);
  return advance(run);
}

void Runner::call(Run& run, std::string_view what, const exchange::Notes::Callback& callback) {
  const runtime::Frame frame{callback.plugin, what, to_view(run.request.route), to_view(run.request.id)};
  const runtime::Gate::Open gate(&run.home().gate());
  const std::string threw = runtime::contain(frame, [&] { callback.run(callback.arg); });
  if (!threw.empty()) report_(run, callback.plugin, std::string(what).append(" ").append(threw));
}

void Runner::run_end_callbacks(Run& run) {
  run.while_lent([&] {
    for (const auto& callback : run.notes.take_end_callbacks()) call(run, "on_end", callback);
  });
}

void Runner::route(Run& run) {
  size_t count = 0;
  const Endpoint* endpoint =
      run.table->router.match(run.request.match_path, run.request.captured, &count, decode_segment, &run.request);
  const std::string_view method = to_view(run.request.method);
  const Plan* plan = nullptr;
  if (endpoint != nullptr) {
    plan = endpoint->find(method);
    if (plan == nullptr && method == "HEAD") plan = endpoint->find("GET");
  }
  if (plan == nullptr) {
    run.endpoint = endpoint;
    return;
  }
  run.plan = plan;
  run.request.route = to_str(endpoint->pattern);
  run.request.params = run.request.captured.data();
  run.request.param_count = count;
  run.timeout_ms = plan->route->timeout_ms;
  if (run.timeout_ms == 0) return;
  run.request.deadline_ns = run.request.received_ns + uint64_t{run.timeout_ms} * 1'000'000;
  if (run.armed()) run.home().deadlines().arm(run, run.request.received_ns, run.timeout_ms);
}

bool Runner::admit(Run& run) {
  const Route* route = run.plan->route;
  if (route == nullptr) {
    answer_unmatched(run);
    return false;
  }
  if (settings_.enforce_scopes && !authorize(run)) return false;
  if (!route->step.owner->starting.load(std::memory_order_acquire)) return true;
  answer_problem(run, 503, "The plugin '" + route->step.owner->id + "' is starting. Try again in a moment.");
  return false;
}

void Runner::arm_deadline(Run& run) {
  if (run.armed() || run.row() > kRespondRow) return;
  const uint32_t timeout = run.timeout_ms != 0 ? run.timeout_ms : settings_.request_timeout_ms;
  const uint64_t since = run.row() < kRespondRow ? run.request.received_ns : runtime::now_ns();
  run.home().deadlines().arm(run, since, timeout);
}

void Runner::fail(Run& run, std::string_view what) {
  report_(run, run.current, what);
  answer_problem(run, 500, "The server failed to answer this request. The log has the reason under this id.",
                 run.current);
}

// ------------------------------------------------------------------------- one step

Runner::Outcome Runner::run_steps(Run& run) {
  const std::span<const StepRef> steps = run.plan->at(run.row());
  if (run.position < steps.size()) run.step_began = runtime::ticks();
  while (run.position < steps.size()) {
    const Outcome outcome = run_step(run, steps[run.position]);
    if (outcome != Outcome::kNext) return outcome;
  }
  return Outcome::kNext;
}

Runner::Outcome Runner::run_step(Run& run, const StepRef& step) {
  run.timed_step = step.number;
  run.begin_turn(step.owner);
  if (tracing_.steps()) begin_span(run, step);
  const Outcome outcome = start_step(run, step);
  if (outcome != Outcome::kSuspended) end_step(run);
  return outcome;
}

Runner::Outcome Runner::start_step(Run& run, const StepRef& step) {
  run.current = step.owner->id;
  if (step.blocking) return start_blocking(run, step);
  bh_error err;
  const bh_flow flow = call_step(run, step, run.request_for(*step.owner), kCourse[run.row()].name, 0, &err);
  return settle(run, flow, err);
}

Runner::Outcome Runner::start_blocking(Run& run, const StepRef& step) {
  const bool force = run.row() >= kRespondRow;
  const bh_request* const request = run.request_for(*step.owner);
  const uint32_t ticket = run.issue_ticket();
  run.ref();
  suspend(run, Waiting::kExecutor);
  if (executor_.submit({run_blocking, &run, &step, request, ticket}, force)) return Outcome::kSuspended;
  run.unref();
  run.waiting = Waiting::kNo;
  if (force) {
    ++run.position;
    return Outcome::kNext;
  }
  answer_problem(run, 503, "The server is busy. Try again in a moment.");
  return Outcome::kAnswered;
}

void Runner::run_blocking(const runtime::Task& task) {
  auto& run = *static_cast<Run*>(task.a);
  const auto& step = *static_cast<const StepRef*>(task.b);
  const auto ticket = static_cast<uint32_t>(task.d);
  if (run.ticket_is_current(ticket)) {
    bh_error err{};
    const bh_flow flow = call_step(run, step, static_cast<const bh_request*>(task.c), "blocking", ticket, &err);
    // A 504 has gone out meanwhile: the log is told what is no fault of the deadline.
    if (flow == BH_E_INTERNAL && !run.ticket_is_current(ticket))
      run.runner->report_(run, step.owner->id, message_of(err, "step failed without a message"));
    run.set_result(ticket, flow, err);
    run.wake();
  }
  run.unref();
}

Runner::Outcome Runner::settle(Run& run, bh_flow flow, const bh_error& err) {
  const bool answering = run.row() < kRespondRow;
  const bool step = run.row() == kStepRow;
  if (answering && run.answer.answered()) {
    if (flow < 0 && flow != BH_E_GONE)
      report_(run, run.current, std::string("answered, then failed: ").append(message_of(err, "without a message")));
    return Outcome::kAnswered;
  }
  if (flow == BH_PENDING && run.row() != kCompleteRow) {
    suspend(run, Waiting::kPlugin);
    if (!take_result(run)) return Outcome::kSuspended;
    return answering && !run.answer.open() ? Outcome::kAnswered : Outcome::kNext;
  }
  if (!answering) {  // RESPOND, COMPLETE: a failing hook is reported, the answer goes out
    if (flow < 0) report_(run, run.current, message_of(err, "hook failed"));
    ++run.position;
    return Outcome::kNext;
  }
  if (flow == BH_NEXT && !step) {
    ++run.position;
    return Outcome::kNext;
  }
  if (flow < 0) {
    const int status = http_status(flow);
    if (status == 500)
      fail(run, message_of(err, "step failed without a message"));
    else
      answer_problem(run, status, err.message, run.current);
  } else {
    fail(run, flow == BH_DONE ? "returned BH_DONE without an answer" : "did not answer");
  }
  return Outcome::kAnswered;
}

void Runner::suspend(Run& run, Waiting waiting) {
  run.waiting = waiting;
  arm_deadline(run);
}

// True when the run may go on; false while what it waits for has not come.
bool Runner::take_result(Run& run) {
  if (run.waiting == Waiting::kExecutor) {
    bh_flow flow = BH_NEXT;
    bh_error err;
    if (!run.take_result(&flow, &err)) return false;
    run.waiting = Waiting::kNo;
    return settle(run, flow, err) != Outcome::kSuspended;
  }
  const bool answering = run.row() < kRespondRow;
  // Asked first: a plugin that lets go may have resumed or answered just before, and then that
  // counts.
  const bool let_go = run.holds() == 0;
  if (run.resumed()) {
    run.waiting = Waiting::kNo;
    if (!answering || run.answer.open()) ++run.position;
    if (run.row() == kStepRow && run.answer.open()) fail(run, "resumed its step instead of answering it");
    return true;
  }
  if (answering && run.answer.answered()) {
    run.waiting = Waiting::kNo;
    return true;
  }
  if (let_go && (!answering || run.answer.open())) {
    run.waiting = Waiting::kNo;
    if (answering)
      fail(run, "let go of the exchange without an answer");
    else
      ++run.position;
    return true;
  }
  return false;
}

void Runner::stop_waiting(Run& run) {
  end_step(run);
  run.waiting = Waiting::kNo;
  run.supersede();
}

void Runner::begin_span(Run& run, const StepRef& step) {
  if (run.row() == kCompleteRow) return;  // the trace is on its way already
  const StepLabel& label = run.table->labels[step.number];
  std::string name(label.plugin);
  name.append(" ").append(label.phase);
  run.while_lent(
      [&] { run.step_span = tracing_.begin(label.plugin, run.handle(), nullptr, BH_SPAN_STEP, to_str(name)); });
}

void Runner::end_step(Run& run) {
  if (run.timed_step == Run::kNoStep) return;
  run.end_turn();
  if (run.step_span != nullptr) telemetry::Tracing::end(std::exchange(run.step_span, nullptr), BH_OK);
  const uint64_t now = runtime::ticks();
  run.table->latency->add(run.home().number(), std::exchange(run.timed_step, Run::kNoStep), now - run.step_began);
  run.step_began = now;
}

}  // namespace bulkhead::chain
