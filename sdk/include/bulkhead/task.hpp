// bulkhead/task.hpp - steps and hooks as coroutines.
//
//   bulkhead::Task<bulkhead::Response> read(bulkhead::Request request) {
//     Row row;
//     const auto fill = [&](std::span<const bh_value> cells) { row = Row(cells); };
//     auto query = sql_->query({.sql = "select …", .ex = request.handle()}, fill);
//     const bulkhead::SqlResult result = co_await query;
//     co_return row.response();
//   }
//
// A step is a Task<Response>, a hook a Task<bh_flow>; both may await a Task<T> of their own. The
// frame holds the exchange, so views of the Request stay valid. The frame is the only allocation.
//
// Threads: the coroutine goes on where the awaited work ended: on the database session's thread,
// the timer thread, the executor. It must not block there; `co_await on_executor(host)` moves it to
// where it may, `co_await at_home(request)` to the I/O thread of its request.
//
// Errors: what leaves the coroutine is answered as from a plain step: Problem, Failure,
// std::exception. Callers that leave: the next await after the caller left or the deadline passed
// throws Gone. What must happen in any case (a cache to invalidate after a commit) belongs before
// that await, or in a destructor. Work under way is not cut short but for waits on the clock.
//
// GCC 12 destroys temporaries inside a co_await expression twice or never: name what has a
// destructor before the co_await.
#ifndef BULKHEAD_TASK_HPP
#define BULKHEAD_TASK_HPP

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "bulkhead/exchange.hpp"
#include "bulkhead/host.hpp"
#include "bulkhead/http.hpp"

namespace bulkhead {

// The caller left, or the request's deadline passed. No answer is sent.
class Gone : public std::exception {
 public:
  const char* what() const noexcept override { return "the caller left or the deadline passed"; }
};

template <typename T>
class Task;

namespace detail {

// What all coroutines of one step share; it lives in the frame of the outermost one.
struct TaskRoot {
  enum : int { kStarted, kLeft, kEnded };

  Exchange held;
  std::string_view request_id;
  void* frame = nullptr;  // for deliver: of the outermost coroutine, or of the one that waits
  void (*deliver)(const TaskRoot& root) noexcept = nullptr;
  // kLeft: the step has returned BH_PENDING; the thread that ends the coroutine delivers. kEnded:
  // the coroutine ended first.
  std::atomic<int> state{kStarted};
};

class TaskPromise {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }
  struct Final {
    bool await_ready() const noexcept { return false; }
    void await_resume() const noexcept {}
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      TaskPromise& promise = self.promise();
      if (promise.continuation_) return promise.continuation_;
      // From here on the frame may be gone.
      TaskRoot& root = promise.own_;
      if (root.state.exchange(TaskRoot::kEnded, std::memory_order_acq_rel) == TaskRoot::kLeft) root.deliver(root);
      return std::noop_coroutine();
    }
  };
  Final final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { error_ = std::current_exception(); }

  // For awaitables: whether the caller still waits.
  bool live() const { return root_ == nullptr || !root_->held || root_->held.live(); }

  TaskRoot& begin(const Request& request, void* frame) {
    own_.held = Exchange(request);
    own_.request_id = request.id();
    own_.frame = frame;
    root_ = &own_;
    return own_;
  }
  TaskRoot& begin_alone(void* frame) {
    own_.frame = frame;
    root_ = &own_;
    return own_;
  }
  void continue_with(std::coroutine_handle<> continuation, TaskRoot* root) {
    continuation_ = continuation;
    root_ = root;
  }
  TaskRoot* root() const { return root_; }

 protected:
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::coroutine_handle<> continuation_;
  TaskRoot* root_ = nullptr;
  TaskRoot own_;
  std::exception_ptr error_;
};

template <typename T>
class ValuePromise : public TaskPromise {
 public:
  Task<T> get_return_object();
  template <typename Value>
  void return_value(Value&& value) {
    value_.emplace(std::forward<Value>(value));
  }
  T take() {
    rethrow();
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class ValuePromise<void> : public TaskPromise {
 public:
  Task<void> get_return_object();
  void return_void() const noexcept {}
  void take() const { rethrow(); }
};

}  // namespace detail

// A coroutine that has not begun. It begins when it is awaited, or when the step that made it
// returns it.
template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::ValuePromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  Handle await_suspend(std::coroutine_handle<Promise> outer) const noexcept {
    handle_.promise().continue_with(outer, outer.promise().root());
    return handle_;
  }
  T await_resume() const { return handle_.promise().take(); }

  Handle release() { return std::exchange(handle_, {}); }

 private:
  Handle handle_;
};

namespace detail {

template <typename T>
Task<T> ValuePromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<ValuePromise>::from_promise(*this));
}
inline Task<void> ValuePromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<ValuePromise>::from_promise(*this));
}

// What becomes of the value of a step, and of a hook.
inline bh_flow conclude(const Exchange& held, Response response, bool /*later*/) {
  if (held.send(std::move(response)) != BH_E_INVALID) return BH_DONE;
  throw Failure(BH_E_INTERNAL, "the response's status is not 200-599");
}
inline bh_flow conclude(const Exchange& held, bh_flow flow, bool later) {
  if (flow < 0) throw Failure(flow, "the hook failed");
  if (flow == BH_NEXT && later) held.resume();
  return flow;
}

// Answers for what `body` throws.
template <typename Body>
void answer_for(const Exchange& held, std::string_view request_id, Body body) {
  try {
    body();
  } catch (const Gone&) {
  } catch (const Problem& p) {
    if (held.send(problem(p, request_id)) == BH_E_INVALID)
      held.fail(BH_E_INTERNAL, "threw a Problem whose status " + std::to_string(p.status) + " is not 200-599");
  } catch (const Failure& f) {
    held.fail(f.code < BH_OK ? f.code : bh_status{BH_E_INTERNAL}, f.message);
  } catch (const std::exception& e) {
    held.fail(BH_E_INTERNAL, e.what());
  } catch (...) {
    held.fail(BH_E_INTERNAL, "threw something that is no std::exception");
  }
}

// Answers for a coroutine that ended after its step returned.
template <typename T>
void deliver(const TaskRoot& root) noexcept {
  const auto handle = std::coroutine_handle<ValuePromise<T>>::from_address(root.frame);
  const Exchange held = root.held;
  try {
    answer_for(held, root.request_id, [&] { conclude(held, handle.promise().take(), true); });
  } catch (const std::exception&) {  // no memory for an answer: the host gives one as the exchange goes
  }
  handle.destroy();
}

}  // namespace detail

// Runs the task of a step or hook as far as it goes. Returns what the step returns: the task's own
// end, or BH_PENDING where it waits; it then answers by itself. Throws what a plain step would.
template <typename T>
bh_flow start(const Request& request, Task<T> task) {
  const auto handle = task.release();
  detail::TaskRoot& root = handle.promise().begin(request, handle.address());
  root.deliver = &detail::deliver<T>;
  handle.resume();
  if (root.state.exchange(detail::TaskRoot::kLeft, std::memory_order_acq_rel) != detail::TaskRoot::kEnded)
    return BH_PENDING;
  const Task<T> ended(handle);
  const Exchange held = root.held;
  return detail::conclude(held, handle.promise().take(), false);
}

// Runs the task and waits for its end: for commands and for work on the executor, never on an I/O
// thread.
template <typename T>
T wait(Task<T> task) {
  struct Waiter {
    std::mutex mutex;
    std::condition_variable changed;
    bool over = false;
  } waiter;
  const auto handle = task.release();
  const Task<T> running(handle);
  detail::TaskRoot& root = handle.promise().begin_alone(&waiter);
  root.deliver = [](const detail::TaskRoot& ended) noexcept {
    auto& told = *static_cast<Waiter*>(ended.frame);
    const std::lock_guard lock(told.mutex);
    told.over = true;
    told.changed.notify_one();
  };
  handle.resume();
  if (root.state.exchange(detail::TaskRoot::kLeft, std::memory_order_acq_rel) != detail::TaskRoot::kEnded) {
    std::unique_lock lock(waiter.mutex);
    waiter.changed.wait(lock, [&] { return waiter.over; });
  }
  return handle.promise().take();
}

// ------------------------------------------------------------- to other threads

namespace detail {

// What an await that could not begin throws.
class Refusal {
 public:
  template <typename Promise>
  bool refuses(std::coroutine_handle<Promise> waiting) {
    gone_ = !waiting.promise().live();
    return gone_;
  }
  void refuse(bh_status code, std::string_view why) {
    code_ = code;
    why_ = why;
  }
  void check() const {
    if (gone_) throw Gone();
    if (code_ != BH_OK) throw Failure(code_, std::string(why_));
  }

 private:
  bool gone_ = false;
  bh_status code_ = BH_OK;
  std::string_view why_;
};

inline void resume_frame(void* frame) noexcept { std::coroutine_handle<>::from_address(frame).resume(); }

class [[nodiscard]] OnExecutor {
 public:
  explicit OnExecutor(const Host& host) : host_(host.raw()) {}
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiting) {
    if (refusal_.refuses(waiting)) return false;
    if (host_->post(host_, &resume_frame, waiting.address()) == BH_OK) return true;
    refusal_.refuse(BH_E_UNAVAILABLE, "the server is busy; try again in a moment");
    return false;
  }
  void await_resume() const { refusal_.check(); }

 private:
  const bh_host* host_;
  Refusal refusal_;
};

class [[nodiscard]] AtHome {
 public:
  explicit AtHome(const ExchangeView& view) : view_(view) {}
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiting) {
    if (refusal_.refuses(waiting)) return false;
    const bh_host* host = view_.owner();
    if (host->ex_call(host, view_.handle(), &resume_frame, waiting.address()) == BH_OK) return true;
    refusal_.refuse(BH_E_INTERNAL, "the host refused to go on at home");
    return false;
  }
  void await_resume() const { refusal_.check(); }

 private:
  ExchangeView view_;
  Refusal refusal_;
};

class [[nodiscard]] SleepFor {
 public:
  static constexpr uint64_t kSliceMs = 100;

  SleepFor(const Host& host, uint64_t milliseconds) : host_(host.raw()), end_ns_(host.now_ns() + milliseconds * kMs) {}
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiting) {
    if (refusal_.refuses(waiting)) return false;
    waiting_ = waiting;
    refuses_ = [](SleepFor& self) {
      return self.refusal_.refuses(std::coroutine_handle<Promise>::from_address(self.waiting_.address()));
    };
    return arm();
  }
  void await_resume() const { refusal_.check(); }

 private:
  static constexpr uint64_t kMs = 1'000'000;

  // False where the host takes no more timers of this plugin.
  bool arm() {
    const uint64_t now = host_->now_ns(host_), left = end_ns_ > now ? (end_ns_ - now + kMs - 1) / kMs : 0;
    if (host_->timer(host_, std::min(left, kSliceMs), 0, &SleepFor::run, this) != 0) return true;
    refusal_.refuse(BH_E_UNAVAILABLE, "the plugin is stopping");
    return false;
  }
  static void run(void* arg) noexcept {
    auto& self = *static_cast<SleepFor*>(arg);
    const bool over = self.host_->now_ns(self.host_) >= self.end_ns_ || self.refuses_(self);
    if (over || !self.arm()) self.waiting_.resume();
  }

  const bh_host* host_;
  uint64_t end_ns_;
  std::coroutine_handle<> waiting_;
  bool (*refuses_)(SleepFor&) = nullptr;
  Refusal refusal_;
};

}  // namespace detail

// Goes on on the executor. Throws Failure where that is full.
inline detail::OnExecutor on_executor(const Host& host) { return detail::OnExecutor(host); }
// Goes on on the I/O thread that the request lives on.
inline detail::AtHome at_home(const ExchangeView& view) { return detail::AtHome(view); }
// Goes on after some time, on the timer thread; earlier, with Gone, where the caller leaves.
inline detail::SleepFor sleep_for(const Host& host, uint64_t milliseconds) { return {host, milliseconds}; }

}  // namespace bulkhead

#endif  // BULKHEAD_TASK_HPP
