// What the kernel says of this process: /proc/self, as the Prometheus client libraries report it.
#pragma once

#include <cstdint>

namespace bulkhead::app {

struct ProcessFigures {
  double cpu_seconds = 0, start_seconds = 0;  // the second since 1970
  uint64_t resident_bytes = 0, virtual_bytes = 0, threads = 0, open_fds = 0, max_fds = 0;
};

// Zeros where /proc cannot be read.
ProcessFigures process_figures();

}  // namespace bulkhead::app
