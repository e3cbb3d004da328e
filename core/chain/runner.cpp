#include "core/chain/runner.hpp"

#include <string>
#include <utility>

#include "bulkhead/status.hpp"
#include "bulkhead/text/percent.hpp"
#include "core/chain/host_answers.hpp"
#include "core/chain/problem.hpp"
#include "core/chain/step_call.hpp"
#include "core/runtime/clock.hpp"
#include "core/runtime/ticks.hpp"

namespace bulkhead::chain {

using exchange::Stage;
using exchange::Waiting;

namespace {

std::string_view decode_segment(void* context, std::string_view segment) {
  auto& ex = *static_cast<exchange::Exchange*>(context);
  char* out = ex.allocate(segment.size());
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

void Runner::enter(Exchange& ex, Stage stage) {
  ex.stage.store(stage, std::memory_order_release);
  ex.position = 0;
}

void Runner::begin(Exchange& ex) {
  enter(ex, Stage::kReceive);
  advance(ex);
}

void Runner::refuse(Exchange& ex, int status, std::string_view detail, std::string_view field, std::string_view value) {
  ex.keep_alive = false;
  if (!answer_problem(ex, status, detail, {}, field, value)) return;  // its answer is on the way already
  stop_waiting(ex);
  advance(ex);
}

void Runner::suspend(Exchange& ex, Waiting waiting) {
  ex.waiting = waiting;
  if (ex.armed() || ex.stage > Stage::kRespond) return;
  const uint32_t timeout = ex.timeout_ms != 0 ? ex.timeout_ms : settings_.request_timeout_ms;
  ex.home().deadlines().arm(ex, ex.stage < Stage::kRespond ? ex.request.received_ns : runtime::now_ns(), timeout);
}

void Runner::fail(Exchange& ex, std::string_view what) {
  report_(ex, ex.current, what);
  answer_problem(ex, 500, "The server failed to answer this request. The log has the reason under this id.",
                 ex.current);
}

// True when the exchange may go on; false while what it waits for has not come.
bool Runner::take_result(Exchange& ex) {
  if (ex.waiting == Waiting::kExecutor) {
    const uint64_t result = ex.executor_result.load(std::memory_order_acquire);
    if (static_cast<uint32_t>(result >> 32) != ex.executor_ticket.load(std::memory_order_relaxed)) return false;
    ex.waiting = Waiting::kNo;
    return settle(ex, static_cast<bh_flow>(static_cast<uint32_t>(result)), ex.executor_error()) != Outcome::kSuspended;
  }
  const bool answering = ex.stage < Stage::kRespond;
  // Asked first: who lets go may have resumed or answered just before, and then that counts.
  const bool let_go = ex.holds() == 0;
  if (ex.resumed()) {
    ex.waiting = Waiting::kNo;
    if (!answering || ex.open()) ++ex.position;
    if (ex.stage == Stage::kStep && ex.open()) fail(ex, "resumed its step instead of answering it");
    return true;
  }
  if (answering && ex.answered()) {
    ex.waiting = Waiting::kNo;
    return true;
  }
  if (let_go && (!answering || ex.open())) {
    ex.waiting = Waiting::kNo;
    if (answering)
      fail(ex, "let go of the exchange without an answer");
    else
      ++ex.position;
    return true;
  }
  return false;
}

Runner::Outcome Runner::settle(Exchange& ex, bh_flow flow, const bh_error& err) {
  const bool answering = ex.stage < Stage::kRespond;
  if (answering && ex.answered()) return Outcome::kAnswered;
  if (flow == BH_PENDING && ex.stage != Stage::kComplete) {
    suspend(ex, Waiting::kPlugin);
    if (!take_result(ex)) return Outcome::kSuspended;
    return answering && ex.answered() ? Outcome::kAnswered : Outcome::kNext;
  }
  if (!answering) {  // RESPOND, COMPLETE: a failing hook is reported, the answer goes out
    if (flow < 0) report_(ex, ex.current, err.message[0] != '\0' ? err.message : "hook failed");
    ++ex.position;
    return Outcome::kNext;
  }
  if (flow == BH_NEXT && ex.stage != Stage::kStep) {
    ++ex.position;
    return Outcome::kNext;
  }
  if (flow < 0) {
    const int status = http_status(flow);
    if (status == 500)
      fail(ex, err.message[0] != '\0' ? err.message : "step failed without a message");
    else
      answer_problem(ex, status, err.message, ex.current);
  } else {
    fail(ex, flow == BH_DONE ? "returned BH_DONE without an answer" : "did not answer");
  }
  return Outcome::kAnswered;
}

void Runner::run_blocking(const runtime::Task& task) {
  auto& ex = *static_cast<Exchange*>(task.a);
  const auto& step = *static_cast<const StepRef*>(task.b);
  const auto ticket = static_cast<uint32_t>(task.d);
  if (ex.executor_ticket.load(std::memory_order_acquire) == ticket) {
    bh_error err{};
    const bh_flow flow = call_step(ex, step, static_cast<const bh_request*>(task.c), "blocking", ticket, &err);
    uint64_t seen = ex.executor_result.load(std::memory_order_acquire);
    const uint64_t mine = (uint64_t{ticket} << 32) | static_cast<uint32_t>(flow);
    if (flow < 0) ex.set_executor_error(ticket, err);
    while (static_cast<int32_t>(ticket - static_cast<uint32_t>(seen >> 32)) > 0 &&
           !ex.executor_result.compare_exchange_weak(seen, mine, std::memory_order_acq_rel)) {
    }
    ex.wake();
  }
  ex.unref();
}

void Runner::end_step(Exchange& ex) {
  if (ex.timed_step == Exchange::kNoStep) return;
  ex.end_turn();
  if (ex.step_span != nullptr) telemetry::Tracing::end(std::exchange(ex.step_span, nullptr), BH_OK);
  const uint64_t now = runtime::ticks();
  ex.table->latency->add(ex.home().number(), std::exchange(ex.timed_step, Exchange::kNoStep), now - ex.step_began);
  ex.step_began = now;
}

void Runner::stop_waiting(Exchange& ex) {
  end_step(ex);
  ex.waiting = Waiting::kNo;
  ex.supersede();
}

void Runner::begin_span(Exchange& ex, const StepRef& step) {
  if (ex.stage == Stage::kComplete) return;  // the trace is on its way already
  const StepLabel& label = ex.table->labels[step.number];
  std::string name(label.plugin);
  name.append(" ").append(label.phase);
  ex.step_span = tracing_.begin(label.plugin, ex.handle(), nullptr, BH_SPAN_STEP, to_str(name));
}

Runner::Outcome Runner::run_step(Exchange& ex, const StepRef& step) {
  ex.timed_step = step.number;
  ex.begin_turn(step.owner);
  if (tracing_.steps()) begin_span(ex, step);
  const Outcome outcome = start_step(ex, step);
  if (outcome != Outcome::kSuspended) end_step(ex);
  return outcome;
}

Runner::Outcome Runner::start_step(Exchange& ex, const StepRef& step) {
  ex.current = step.owner->id;
  const bh_request* rq = request_for(ex, *step.owner);
  if (step.blocking) {
    const bool force = ex.stage >= Stage::kRespond;
    const uint32_t ticket = ++ex.executor_ticket;
    ex.executor_result.store(uint64_t{ticket - 1} << 32, std::memory_order_release);  // an older one may be half round
    ex.ref();
    suspend(ex, Waiting::kExecutor);
    if (executor_.submit({run_blocking, &ex, &step, rq, ticket}, force)) return Outcome::kSuspended;
    ex.unref();
    ex.waiting = Waiting::kNo;
    if (force) {
      ++ex.position;
      return Outcome::kNext;
    }
    answer_problem(ex, 503, "The server is busy. Try again in a moment.");
    return Outcome::kAnswered;
  }
  bh_error err;
  const bh_flow flow = call_step(ex, step, rq, stage_name(ex.stage), 0, &err);
  return settle(ex, flow, err);
}

Runner::Outcome Runner::run_steps(Exchange& ex, const std::vector<StepRef>& steps) {
  if (ex.position < steps.size()) ex.step_began = runtime::ticks();
  while (ex.position < steps.size()) {
    const Outcome outcome = run_step(ex, steps[ex.position]);
    if (outcome != Outcome::kNext) return outcome;
  }
  return Outcome::kNext;
}

void Runner::route(Exchange& ex) {
  size_t count = 0;
  const Endpoint* endpoint = ex.table->router.match(ex.match_path, ex.params, &count, decode_segment, &ex);
  const std::string_view method = to_view(ex.request.method);
  if (endpoint != nullptr) {
    ex.plan = endpoint->find(method);
    if (ex.plan == nullptr && method == "HEAD") ex.plan = endpoint->find("GET");
  }
  if (ex.plan == nullptr) {
    ex.plan = &ex.table->unmatched;
    ex.endpoint = endpoint;
    return;
  }
  ex.request.route = to_str(endpoint->pattern);
  ex.request.params = ex.params.data();
  ex.request.param_count = count;
  ex.timeout_ms = ex.plan->route->timeout_ms;
  if (ex.timeout_ms == 0) return;
  ex.request.deadline_ns = ex.request.received_ns + uint64_t{ex.timeout_ms} * 1'000'000;
  if (ex.armed()) ex.home().deadlines().arm(ex, ex.request.received_ns, ex.timeout_ms);
}

void Runner::advance(Exchange& ex) {
  while (true) {
    if (ex.waiting != Waiting::kNo) {
      if (!take_result(ex)) return;
      end_step(ex);
    }
    if (ex.stage < Stage::kRespond && ex.answered()) {
      if (ex.plan == nullptr) ex.plan = &ex.table->unmatched;
      if (ex.armed()) ex.home().deadlines().disarm(ex);
      enter(ex, Stage::kRespond);
    } else if (ex.stage < Stage::kRespond && !ex.open()) {
      ex.waiting = Waiting::kPlugin;  // another thread is writing the answer this moment; it wakes us
      if (!ex.answered()) return;
      continue;
    }
    switch (ex.stage) {
      case Stage::kReceive:
        if (const Outcome outcome = run_steps(ex, ex.table->receive); outcome == Outcome::kSuspended)
          return;
        else if (outcome == Outcome::kAnswered)
          continue;
        route(ex);
        enter(ex, Stage::kAdmit);
        continue;
      case Stage::kAdmit:
        if (const Outcome outcome = run_steps(ex, ex.plan->admit); outcome == Outcome::kSuspended)
          return;
        else if (outcome == Outcome::kAnswered)
          continue;
        if (ex.plan->route == nullptr) {
          answer_unmatched(ex);
          continue;
        }
        if (settings_.enforce_scopes && !authorize(ex)) continue;
        if (ex.plan->step.owner->starting.load(std::memory_order_acquire)) {
          answer_problem(ex, 503, "The plugin '" + ex.plan->step.owner->id + "' is starting. Try again in a moment.");
          continue;
        }
        enter(ex, Stage::kBody);
        if (!ex.body_complete) {
          suspend(ex, Waiting::kNo);
          ex.channel->body_wanted(ex);
          return;
        }
        enter(ex, Stage::kPrepare);
        continue;
      case Stage::kBody:
        return;
      case Stage::kPrepare:
        if (const Outcome outcome = run_steps(ex, ex.plan->prepare); outcome == Outcome::kSuspended)
          return;
        else if (outcome == Outcome::kAnswered)
          continue;
        enter(ex, Stage::kStep);
        continue;
      case Stage::kStep:
        ex.step_began = runtime::ticks();
        if (run_step(ex, ex.plan->step) == Outcome::kSuspended) return;
        continue;
      case Stage::kRespond:
        if (run_steps(ex, ex.plan->respond) == Outcome::kSuspended) return;
        ex.apply_edits();
        if (ex.armed()) ex.home().deadlines().disarm(ex);
        enter(ex, Stage::kWriting);
        ex.channel->answer_ready(ex);
        return;
      case Stage::kWriting:
        return;
      case Stage::kComplete:
        if (run_steps(ex, ex.plan->complete) == Outcome::kSuspended) return;
        enter(ex, Stage::kEnded);
        return;
      case Stage::kEnded:
        return;
    }
  }
}

void Runner::body_arrived(Exchange& ex) {
  if (ex.stage != Stage::kBody) return;
  enter(ex, Stage::kPrepare);
  advance(ex);
}

void Runner::timed_out(Exchange& ex) {
  if (ex.stage > Stage::kRespond) return;
  const bool responding = ex.stage == Stage::kRespond;
  if (responding || (ex.answered() && ex.waiting == Waiting::kExecutor)) {
    // The answer is there: a hook that does not resume, or a step that does not return, no longer
    // holds it up.
    if (responding) {
      report_(ex, ex.current, "its RESPOND hook took too long and was left out");
      ++ex.position;
    }
    stop_waiting(ex);
    return advance(ex);
  }
  if (!answer_problem(ex, 504, "No answer within the time this request may take.", ex.current)) return;
  ex.end_life();
  ex.timed_out = true;
  stop_waiting(ex);
  advance(ex);
}

void Runner::written(Exchange& ex) {
  ex.end_life();
  ex.channel = nullptr;
  ex.finished_ns = runtime::now_ns();
  ex.run_end_callbacks();
  enter(ex, Stage::kComplete);
  advance(ex);
}

void Runner::abandoned(Exchange& ex) {
  ex.channel = nullptr;
  ex.aborted = true;
  ex.close();
  if (ex.armed()) ex.home().deadlines().disarm(ex);
  stop_waiting(ex);
  if (ex.plan == nullptr) ex.plan = &ex.table->unmatched;
  ex.finished_ns = runtime::now_ns();
  ex.run_end_callbacks();
  enter(ex, Stage::kComplete);
  advance(ex);
}

}  // namespace bulkhead::chain
