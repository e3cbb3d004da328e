#include "core/app/supervisor.hpp"

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/runtime/clock.hpp"
#include "core/runtime/duty.hpp"
#include "core/runtime/host_thread.hpp"
#include "core/telemetry/probe.hpp"

namespace bulkhead::app {

namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kTakenWithinMs = 2'000, kToldWithinMs = 1'000;
// A terminal and the program that started this one may both pass on the same Ctrl-C.
constexpr uint64_t kSameSignalMs = 300;
constexpr timespec kLook{0, 100 * static_cast<long>(kMs)};

bool stops(int number) { return number == SIGTERM || number == SIGINT; }

std::string name_of(int number) { return number == SIGTERM ? "SIGTERM" : "SIGINT"; }

// A line for each thread that is inside a plugin, or that the plugin's code waits in.
std::string whereabouts() {
  std::string lines;
  runtime::for_each_host_thread([&](pthread_t thread) {
    if (::pthread_equal(thread, ::pthread_self()) != 0) return;
    const auto where = telemetry::ask_where(thread);
    if (!where || where->plugin.empty()) return;
    lines += "  in plugin " + where->plugin + ", " + where->step;
    if (!where->route.empty()) lines += " " + where->route;
    lines += ": " + where->stack + "\n";
  });
  return lines;
}

std::string name_of(const runtime::Duty::State& state) {
  return state.plugin.empty() ? state.what : state.what + " of plugin '" + state.plugin + "'";
}

std::string doing() {
  const auto state = runtime::control_duty.state();
  return state ? ", in " + name_of(*state) : "";
}

// And where the plugins are. Standard error may be a pipe that is full: what cannot be told in time
// is not.
void tell(const std::string& text) {
  auto told = std::make_shared<std::promise<void>>();
  const std::future<void> done = told->get_future();
  std::thread([text, told] {
    std::cerr << text << std::flush << whereabouts() << std::flush;
    told->set_value();
  }).detach();
  done.wait_for(std::chrono::milliseconds(kToldWithinMs));
}

}  // namespace

Supervisor::Supervisor() {
  sigemptyset(&signals_);
  for (const int number : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) sigaddset(&signals_, number);
  sigprocmask(SIG_BLOCK, &signals_, nullptr);
  telemetry::prepare_probe();
  thread_ = std::thread([this] { work(); });
  pthread_setname_np(thread_.native_handle(), "bh-supervisor");
}

Supervisor::~Supervisor() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  ::pthread_kill(thread_.native_handle(), SIGHUP);  // it waits for signals
  thread_.join();
}

int Supervisor::wait(uint32_t ms) {
  std::unique_lock lock(mutex_);
  serving_ = true;
  if (!changed_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return !waiting_.empty(); })) return 0;
  const int number = waiting_.front();
  waiting_.pop_front();
  return number;
}

void Supervisor::end_by(int number, const std::string& what) {
  tell("bulkhead: " + name_of(number) + what + ": ends now" + doing() + "\n");
  signal(number, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, number);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  ::pthread_kill(::pthread_self(), number);
  ::_exit(128 + number);
}

void Supervisor::signalled(int number) {
  const uint64_t now = runtime::now_ns();
  {
    const std::lock_guard lock(mutex_);
    if (!stops(number) || asked_ == 0) {
      if (stops(number)) {
        asked_ = number;
        asked_ns_ = now;
      }
      waiting_.push_back(number);
      changed_.notify_one();
      return;
    }
    if (now < asked_ns_ + kSameSignalMs * kMs) return;
  }
  end_by(number, " again");
}

void Supervisor::work() {
  runtime::become_host_thread();
  while (true) {
    const int number = sigtimedwait(&signals_, nullptr, &kLook);
    if (number > 0) signalled(number);
    const uint64_t now = runtime::now_ns();
    {
      const std::lock_guard lock(mutex_);
      if (over_) return;
      if (asked_ != 0 && !serving_ && now > asked_ns_ + kTakenWithinMs * kMs) end_by(asked_, "");
    }
    const auto state = runtime::control_duty.state();
    if (!state || !state->overdue(now)) continue;
    const std::string seconds = nlohmann::json(state->limit_ms / 1000.0).dump();
    tell("bulkhead: " + name_of(*state) + " has not ended within " + seconds + " s; the process ends\n");
    ::_exit(1);
  }
}

}  // namespace bulkhead::app
