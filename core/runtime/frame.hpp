// Frame: which plugin this thread is in, for the crash handler, and a wall around calls into
// plugins: nothing that a plugin throws gets past it.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace bulkhead::runtime {

struct Frame {
  std::string_view plugin, step;
  std::string_view route = {}, request_id = {};  // of a request
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

// Runs `work`, a call into the plugin that `frame` names. "" or what it threw.
template <typename Work>
std::string contain(const Frame& frame, Work work) {
  const FrameScope scope(frame);
  try {
    work();
    return {};
  } catch (const std::exception& thrown) {
    return std::string("threw: ") + thrown.what();
  } catch (...) {
    return "threw something that is no std::exception";
  }
}

}  // namespace bulkhead::runtime
