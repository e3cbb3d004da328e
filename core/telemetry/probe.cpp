#include "core/telemetry/probe.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
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
struct {
  FixedText<64> plugin, step;
  FixedText<256> route, request_id;
  void* frames[kMostFrames];
  size_t count;
} answer;

void on_probe(int /*number*/) {
  const int error = errno;
  int expected = kAsked;
  if (state.compare_exchange_strong(expected, kAnswering, std::memory_order_acq_rel)) {
    answer = {};
    if (const runtime::Frame* frame = runtime::current_frame; frame != nullptr) {
      answer.plugin.add(frame->plugin);
      answer.step.add(frame->step);
      answer.route.add(frame->route);
      answer.request_id.add(frame->request_id);
    }
    answer.count = take_backtrace(answer.frames, kMostFrames);
    state.store(kAnswered, std::memory_order_release);
  }
  errno = error;
}

// The plugin's own frames and what they called. Behind them stands the host.
std::string stack_text() {
  size_t last = 0;  // frames up to the plugin's outermost
  for (size_t i = 0; i < answer.count; ++i)
    if (!place_of(answer.frames[i]).plugin.empty()) last = i + 1;
  const size_t end = last != 0 ? last : answer.count;
  // The two innermost are the handler's, then comes the kernel's return from it.
  const size_t begin = std::min<size_t>(3, end);
  std::string text;
  for (size_t i = begin; i < std::min(end, begin + kFramesTold); ++i)
    text += (text.empty() ? "" : " < ") + describe(place_of(answer.frames[i]));
  return text;
}

}  // namespace

void prepare_probe() {
  prepare_backtraces();
  struct sigaction action {};
  action.sa_handler = on_probe;
  action.sa_flags = SA_RESTART;
  sigaction(probe_signal(), &action, nullptr);
}

std::optional<Whereabouts> ask_where(pthread_t thread) {
  constexpr int kAttempts = 200;
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
