// What is written when the process crashes.
#pragma once

namespace bulkhead::telemetry {

// Writes "SIGSEGV in plugin people, step /people/{uuid}, request ...", and where it was, on the
// signals of a crash, then lets the process die of it.
void install_crash_handler();

// While one lives, exit() is a fault: it is told with the plugin that called it, and the process
// ends with a status that is not 0.
class ExitGuard {
 public:
  ExitGuard();
  ~ExitGuard();
  ExitGuard(const ExitGuard&) = delete;
  ExitGuard& operator=(const ExitGuard&) = delete;

  // Looks before whatever registered for the exit until now. [any]
  static void watch();
};

}  // namespace bulkhead::telemetry
