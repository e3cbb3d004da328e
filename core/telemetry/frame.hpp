// Frame: which plugin this thread is in. Read by the crash handler only.
#pragma once

#include <string_view>

namespace bulkhead::telemetry {

struct Frame {
  std::string_view plugin, step, route, request_id;
};

inline thread_local Frame current_frame;

// Names the plugin for the time of one call into it.
class FrameScope {
 public:
  explicit FrameScope(const Frame& frame) : outer_(current_frame) { current_frame = frame; }
  ~FrameScope() { current_frame = outer_; }
  FrameScope(const FrameScope&) = delete;
  FrameScope& operator=(const FrameScope&) = delete;

 private:
  const Frame outer_;
};

// Writes "SIGSEGV in people 1.4.2, step ..., request ..." on the signals of a crash, then lets the
// process die of it.
void install_crash_handler();

}  // namespace bulkhead::telemetry
