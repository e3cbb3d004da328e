// What is written when the process crashes.
#pragma once

namespace bulkhead::telemetry {

// Writes "SIGSEGV in plugin people, step /people/{uuid}, request ..." on the signals of a crash,
// then lets the process die of it.
void install_crash_handler();

}  // namespace bulkhead::telemetry
