#include "core/telemetry/crash.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <span>
#include <string_view>

#include "core/runtime/frame.hpp"
#include "core/runtime/host_thread.hpp"
#include "core/telemetry/symbols.hpp"

namespace bulkhead::telemetry {

namespace {

// Async-signal-safe only: fixed buffers and write(2).

constexpr size_t kFramesTold = 24;
constexpr int kExitStatus = 70;  // EX_SOFTWARE of sysexits.h

std::string_view signal_name(int number) {
  switch (number) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGABRT:
      return "SIGABRT";
    case SIGBUS:
      return "SIGBUS";
    case SIGFPE:
      return "SIGFPE";
    case SIGILL:
      return "SIGILL";
    default:
      return "signal";
  }
}

template <size_t Size>
void write_out(const FixedText<Size>& line) {
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, line.text, line.size);
}

void write_frame(const void* address) {
  const Place place = place_of(address);
  FixedText<1024> line;
  line.add("  at ");
  line.add(place.file.empty() ? "?" : place.file);
  line.add("+0x");
  line.add_hex(place.file.empty() ? reinterpret_cast<uintptr_t>(address) : place.offset);
  line.add(place.function.empty() ? "" : " ");
  line.add(place.function);
  if (!place.build_id.empty()) line.add(", build id ");
  for (const char byte : place.build_id) {
    line.add_hex(static_cast<unsigned char>(byte) >> 4);
    line.add_hex(static_cast<unsigned char>(byte) & 15);
  }
  line.add(line.size == sizeof line.text ? "" : "\n");
  write_out(line);
}

constexpr size_t kMostFrames = 64;

// A call returns behind its instruction, which may be the next function's first byte.
const void* before(const void* return_address) { return static_cast<const char*>(return_address) - 1; }

// The plugin that the host called. False where it called none.
bool name_frame(FixedText<512>& line) {
  const runtime::Frame* frame = runtime::current_frame;
  if (frame == nullptr) return false;
  line.add(" in plugin ");
  line.add(frame->plugin);
  line.add(", ");
  line.add(frame->step);
  if (!frame->route.empty()) line.add(" ");
  line.add(frame->route);
  if (!frame->request_id.empty()) line.add(", request ");
  line.add(frame->request_id);
  return true;
}

// The innermost plugin whose code was under way.
void name_owner(FixedText<512>& line, std::span<void* const> frames) {
  for (const void* each : frames) {
    const Place place = place_of(before(each));
    if (place.plugin.empty()) continue;
    line.add(" in plugin ");
    line.add(place.plugin);
    line.add(", a thread of its own");
    return;
  }
  line.add(" in the host");
}

void on_crash(int number, siginfo_t* /*info*/, void* context) {
  FixedText<512> line;
  line.add("bulkhead: ");
  line.add(signal_name(number));
  const bool named = name_frame(line);
  // First what is sure: a broken stack may end the process while it is read.
  if (named) {
    line.add("\n");
    write_out(line);
  }
  // From where it happened outwards: what is on top of that belongs to this handler.
  void* taken[kMostFrames];
  const size_t count = take_backtrace(taken, kMostFrames);
  void* const at = program_counter(context);
  std::span<void* const> frames(taken, count);
  const auto first = std::find(frames.begin(), frames.end(), at);
  frames = first != frames.end() ? frames.subspan(static_cast<size_t>(first - frames.begin()))
                                 : std::span<void* const>(&at, 1);
  if (!named) {
    name_owner(line, frames);
    line.add("\n");
    write_out(line);
  }
  write_frame(at);
  for (size_t i = 1; i < std::min(frames.size(), kFramesTold); ++i) write_frame(before(frames[i]));
  ::raise(number);  // SA_RESETHAND: the default action now
}

// Whose exit() is a fault, 0: nobody's. A child that a plugin forked may end as it likes.
std::atomic<pid_t> guarded_process{0};

void on_exit() {
  if (guarded_process.load(std::memory_order_acquire) != ::getpid()) return;
  void* taken[kMostFrames];
  const std::span<void* const> frames(taken, take_backtrace(taken, kMostFrames));
  FixedText<512> line;
  line.add("bulkhead: exit() called");
  if (!name_frame(line)) name_owner(line, frames);
  line.add("\n");
  write_out(line);
  ::_exit(kExitStatus);
}

}  // namespace

void install_crash_handler() {
  prepare_backtraces();
  runtime::become_host_thread();
  know_symbols_at(reinterpret_cast<const void*>(&install_crash_handler), "");
  struct sigaction action {};
  action.sa_sigaction = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER | SA_SIGINFO | SA_ONSTACK);
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) sigaction(number, &action, nullptr);
}

ExitGuard::ExitGuard() {
  guarded_process.store(::getpid(), std::memory_order_release);
  watch();
}
ExitGuard::~ExitGuard() { guarded_process.store(0, std::memory_order_release); }
void ExitGuard::watch() {
  std::atexit(on_exit);
  std::at_quick_exit(on_exit);
}

}  // namespace bulkhead::telemetry
