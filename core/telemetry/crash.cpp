#include "core/telemetry/crash.hpp"

#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <span>
#include <string_view>

#include "core/runtime/frame.hpp"
#include "core/runtime/handler_stack.hpp"
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

void* program_counter(const void* context) {
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return reinterpret_cast<void*>(registers.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return reinterpret_cast<void*>(registers.pc);
#endif
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

// Whose fault it is: the plugin that the host called, or the innermost whose code was under way.
void name_culprit(FixedText<512>& line, std::span<void* const> frames) {
  if (const runtime::Frame* frame = runtime::current_frame; frame != nullptr) {
    line.add(" in plugin ");
    line.add(frame->plugin);
    line.add(", ");
    line.add(frame->step);
    if (!frame->route.empty()) line.add(" ");
    line.add(frame->route);
    if (!frame->request_id.empty()) line.add(", request ");
    line.add(frame->request_id);
    return;
  }
  for (const void* each : frames) {
    const Place place = place_of(each);
    if (place.plugin.empty()) continue;
    line.add(" in plugin ");
    line.add(place.plugin);
    line.add(", a thread of its own");
    return;
  }
  line.add(" in the host");
}

void on_crash(int number, siginfo_t* /*info*/, void* context) {
  // From where it happened outwards: what is on top of that belongs to this handler.
  void* taken[kMostFrames];
  const size_t count = take_backtrace(taken, kMostFrames);
  void* const at = program_counter(context);
  std::span<void* const> frames(taken, count);
  const auto first = std::find(frames.begin(), frames.end(), at);
  frames = first != frames.end() ? frames.subspan(static_cast<size_t>(first - frames.begin()))
                                 : std::span<void* const>(&at, 1);
  FixedText<512> line;
  line.add("bulkhead: ");
  line.add(signal_name(number));
  name_culprit(line, frames);
  line.add("\n");
  write_out(line);
  for (const void* each : frames.first(std::min<size_t>(frames.size(), kFramesTold))) write_frame(each);
  ::raise(number);  // SA_RESETHAND: the default action now
}

// What ends the process without the host's doing.
std::atomic<bool> may_exit{true};

void on_exit() {
  if (may_exit.load(std::memory_order_acquire)) return;
  void* taken[kMostFrames];
  const std::span<void* const> frames(taken, take_backtrace(taken, kMostFrames));
  FixedText<512> line;
  line.add("bulkhead: exit() called");
  name_culprit(line, frames);
  line.add("\n");
  write_out(line);
  ::_exit(kExitStatus);
}

}  // namespace

void install_crash_handler() {
  prepare_backtraces();
  runtime::prepare_handler_stack();
  know_symbols_at(reinterpret_cast<const void*>(&install_crash_handler), "");
  struct sigaction action {};
  action.sa_sigaction = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER | SA_SIGINFO | SA_ONSTACK);
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) sigaction(number, &action, nullptr);
}

ExitGuard::ExitGuard() { may_exit.store(false, std::memory_order_release); }
ExitGuard::~ExitGuard() { may_exit.store(true, std::memory_order_release); }
void ExitGuard::watch() {
  std::atexit(on_exit);
  std::at_quick_exit(on_exit);
}

}  // namespace bulkhead::telemetry
