#include "core/telemetry/probe.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <mutex>
#include <span>
#include <string_view>
#include <thread>

#include "core/runtime/frame.hpp"
#include "core/telemetry/symbols.hpp"

namespace bulkhead::telemetry {

namespace {

constexpr size_t kMostFrames = 64, kFramesTold = 16;

int probe_signal() { return SIGRTMIN + 4; }

// What the handler fills in. The state says who may touch it.
enum State : int { kIdle, kAsked, kAnswering, kAnswered };
std::atomic<int> state{kIdle};
std::atomic<pthread_t> asked{};
struct {
  FixedText<64> plugin, step;
  FixedText<256> route, request_id;
  void* frames[kMostFrames];
  size_t count;
  void* at;  // the instruction that the signal interrupted
} answer;

void on_probe(int /*number*/, siginfo_t* /*info*/, void* context) {
  const int error = errno;
  int expected = kAsked;
  if (::pthread_equal(asked, ::pthread_self()) != 0 &&
      state.compare_exchange_strong(expected, kAnswering, std::memory_order_acq_rel)) {
    answer = {};
    if (const runtime::Frame* frame = runtime::current_frame; frame != nullptr) {
      answer.plugin.add(frame->plugin);
      answer.step.add(frame->step);
      answer.route.add(frame->route);
      answer.request_id.add(frame->request_id);
    }
    answer.count = take_backtrace(answer.frames, kMostFrames);
    answer.at = program_counter(context);
    state.store(kAnswered, std::memory_order_release);
  }
  errno = error;
}

// The plugin's own frames and what they called. What is inside of that is the handler's, what is
// outside the host's.
std::string stack_text() {
  const std::span<void* const> all(answer.frames, answer.count);
  const auto at = std::find(all.begin(), all.end(), answer.at);
  const std::span<void* const> frames(at, all.end());
  const auto place = [&](size_t i) { return place_of(static_cast<const char*>(frames[i]) - (i == 0 ? 0 : 1)); };
  size_t end = 0;
  for (size_t i = 0; i < frames.size(); ++i)
    if (!place(i).plugin.empty()) end = i + 1;
  if (end == 0) end = frames.size();
  std::string text;
  for (size_t i = 0; i < std::min(end, kFramesTold); ++i) text += (text.empty() ? "" : " < ") + describe(place(i));
  return text;
}

}  // namespace

void prepare_probe() {
  prepare_backtraces();
  struct sigaction action {};
  action.sa_sigaction = on_probe;
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  sigaction(probe_signal(), &action, nullptr);
}

std::optional<Whereabouts> ask_where(pthread_t thread) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  constexpr int kAttempts = 200;
  asked.store(thread, std::memory_order_relaxed);
  state.store(kAsked, std::memory_order_release);
  if (::pthread_kill(thread, probe_signal()) != 0) {
    state.store(kIdle, std::memory_order_release);
    return std::nullopt;
  }
  for (int i = 0; state.load(std::memory_order_acquire) != kAnswered; ++i) {
    int expected = kAsked;
    if (i >= kAttempts && state.compare_exchange_strong(expected, kIdle, std::memory_order_acq_rel))
      return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Whereabouts where{std::string(answer.plugin.view()), std::string(answer.step.view()),
                    std::string(answer.route.view()), std::string(answer.request_id.view()), stack_text()};
  state.store(kIdle, std::memory_order_release);
  return where;
}

}  // namespace bulkhead::telemetry
