// Answer: what the caller gets. One atomic step claims it, so of plugin, deadline and disconnect
// exactly one wins.
//
// The thread that claimed it fills it without a lock. Once set, it belongs to the home thread and
// to the steps of RESPOND. Changes that plugins make before are kept, and applied in RESPOND.
#pragma once

#include <atomic>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.h"
#include "core/runtime/arena.hpp"

namespace bulkhead::exchange {

class Answer {
 public:
  Answer() = default;
  ~Answer() { drop_body(); }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  // ---- [any]
  bool answered() const { return state_.load(std::memory_order_acquire) == kSet; }
  bool open() const { return state_.load(std::memory_order_acquire) == kOpen; }
  // Copies headers, takes or copies the body. False if another answer came first or the caller
  // left; the reply's release has been called then.
  bool give(const bh_reply& reply, std::string_view author);
  // The same for a body the host itself makes; it is copied.
  bool give(int32_t status, std::string_view content_type, std::string_view body, std::string_view author,
            std::span<const bh_pair> extra = {});
  // No answer is taken any more.
  void close();
  // Keeps a change for RESPOND.
  void keep_edit(const bh_reply& change);

  // ---- home thread, or the step it waits for; the answer is set
  int32_t status() const { return status_; }
  std::span<const bh_pair> headers() const { return headers_; }  // names in lower case
  std::string_view body() const { return body_; }
  std::string_view author() const { return author_; }  // id of the plugin, "" = host
  // Changes it at once.
  void edit(const bh_reply& change);
  void apply_kept_edits();
  // Memory with the answer's life.
  char* allocate(size_t bytes) { return arena_.allocate(bytes); }

  void clear();

 private:
  enum : int { kOpen, kClaimed, kSet, kClosed };
  struct Edit {
    std::string_view name, value;
    bool append, remove;
  };

  template <typename Each>
  static void for_each_edit(const bh_reply& change, runtime::Arena& arena, Each each);
  void apply(const Edit& edit);
  void drop_body();

  std::atomic<int> state_{kOpen};
  int32_t status_ = 0;
  std::vector<bh_pair> headers_;
  std::string_view body_, author_;
  void (*release_)(void*) = nullptr;  // null: the body is the arena's
  void* release_arg_ = nullptr;
  runtime::Arena arena_;

  std::atomic<bool> has_kept_{false};
  std::mutex mutex_;  // what follows
  std::vector<Edit> kept_;
  int32_t kept_status_ = 0;
  runtime::Arena kept_arena_;
};

}  // namespace bulkhead::exchange
