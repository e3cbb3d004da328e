#include <unistd.h>
#include <csignal>
#include <cstring>

#include "core/runtime/frame.hpp"
#include "core/telemetry/crash.hpp"

namespace bulkhead::telemetry {

namespace {

// Async-signal-safe only: a fixed buffer and write(2).
struct Line {
  char text[512];
  size_t size = 0;
  void add(std::string_view part) {
    const size_t n = part.size() < sizeof text - size ? part.size() : sizeof text - size;
    std::memcpy(text + size, part.data(), n);
    size += n;
  }
};

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

void on_crash(int number) {
  const runtime::Frame& frame = runtime::current_frame;
  Line line;
  line.add("bulkhead: ");
  line.add(signal_name(number));
  if (frame.plugin.empty()) {
    line.add(" in the host or on a plugin's own thread");
  } else {
    line.add(" in plugin ");
    line.add(frame.plugin);
    line.add(", ");
    line.add(frame.step);
    if (!frame.route.empty()) line.add(" ");
    line.add(frame.route);
    if (!frame.request_id.empty()) line.add(", request ");
    line.add(frame.request_id);
  }
  line.add("\n");
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, line.text, line.size);
  ::raise(number);  // SA_RESETHAND: the default action now
}

}  // namespace

void install_crash_handler() {
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) sigaction(number, &action, nullptr);
}

}  // namespace bulkhead::telemetry
