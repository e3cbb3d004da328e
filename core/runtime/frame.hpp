// Frame: which plugin this thread is in, for what tells of a thread that crashed or is held up, and
// a wall around calls into plugins: nothing that a plugin throws gets past it.
#pragma once

#include <atomic>
#include <exception>
#include <string>
#include <string_view>

namespace bulkhead::runtime {

struct Frame {
  std::string_view plugin, step;
  std::string_view route = {}, request_id = {};  // of a request
};

// The innermost, or null. Signal handlers of this thread may read it.
inline thread_local const Frame* current_frame = nullptr;

// Names the plugin for the time of one call into it. `frame` outlives this.
class FrameScope {
 public:
  explicit FrameScope(const Frame& frame) : outer_(current_frame) { enter(&frame); }
  ~FrameScope() { enter(outer_); }
  FrameScope(const FrameScope&) = delete;
  FrameScope& operator=(const FrameScope&) = delete;

 private:
  static void enter(const Frame* frame) {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // a handler finds it filled in
    current_frame = frame;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  const Frame* const outer_;
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
