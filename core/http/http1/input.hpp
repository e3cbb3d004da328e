// Input: the bytes of a connection that are not parsed yet, in a slab that the requests parsed from
// it share.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "core/runtime/slab.hpp"

namespace bulkhead::http::http1 {

class Input {
 public:
  // `largest`: of the heads that are read whole.
  Input(runtime::SlabPool& pool, size_t largest) : pool_(pool), largest_(largest) {}

  char* data() { return slab_->data() + begin_; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  // What fits behind the first byte.
  size_t capacity() const { return slab_ ? slab_->capacity() - begin_ : 0; }
  const runtime::SlabRef& slab() const { return slab_; }

  void consume(size_t count) { begin_ += count; }
  void drop() { begin_ = end_; }

  // Room for more, at least one byte. In a full slab what has arrived moves to its start, or to
  // another slab where requests still look at this one.
  std::span<char> room() {
    if (!slab_) {
      slab_ = pool_.take();
      begin_ = end_ = 0;
    }
    if (begin_ == end_ && !slab_->shared()) begin_ = end_ = 0;
    if (end_ == slab_->capacity()) move();
    return {slab_->data() + end_, slab_->capacity() - end_};
  }
  void added(size_t count) { end_ += count; }

  // Gives the slab back. Nothing has arrived.
  void release() {
    if (slab_) pool_.give(std::exchange(slab_, {}));
    begin_ = end_ = 0;
  }

 private:
  void move() {
    const size_t count = size();
    if (begin_ > 0 && !slab_->shared()) {
      std::memmove(slab_->data(), data(), count);
    } else {
      runtime::SlabRef larger =
          count * 2 <= runtime::Slab::kStandard
              ? pool_.take()
              : runtime::SlabRef(runtime::Slab::make(std::max(largest_, count) + runtime::Slab::kStandard));
      std::memcpy(larger->data(), data(), count);
      pool_.give(std::exchange(slab_, std::move(larger)));
    }
    end_ = count;
    begin_ = 0;
  }

  runtime::SlabPool& pool_;
  const size_t largest_;
  runtime::SlabRef slab_;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace bulkhead::http::http1
