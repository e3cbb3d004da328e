// Slabs: the memory bytes from the network are received into.
//
// A slab is counted. The connection holds one reference while it reads into it,
// every exchange parsed from it holds one more, so a request's views stay valid
// for as long as the exchange lives, and no byte is copied on the way.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/runtime/checks.hpp"

namespace bulkhead::runtime {

class Slab {
 public:
  static constexpr size_t kStandard = 16 * 1024;

  static Slab* make(size_t capacity) {
    void* memory = ::operator new(sizeof(Slab) + capacity);
    return new (memory) Slab(capacity);
  }
  static void destroy(Slab* slab) {
    slab->~Slab();
    ::operator delete(slab);
  }

  char* data() { return reinterpret_cast<char*>(this + 1); }
  size_t capacity() const { return capacity_; }
  bool shared() const { return refs_.load(std::memory_order_acquire) > 1; }
  void retain() { refs_.fetch_add(1, std::memory_order_relaxed); }
  // True for the last holder, who then owns the slab.
  bool release() { return refs_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

 private:
  explicit Slab(size_t capacity) : capacity_(capacity) {}

  std::atomic<uint32_t> refs_{1};
  size_t capacity_;
};

// A counted reference. The last one frees the slab, or gives it back to a SlabPool.
class SlabRef {
 public:
  SlabRef() = default;
  explicit SlabRef(Slab* adopted) : slab_(adopted) {}
  SlabRef(const SlabRef& other) : slab_(other.slab_) {
    if (slab_ != nullptr) slab_->retain();
  }
  SlabRef(SlabRef&& other) noexcept : slab_(std::exchange(other.slab_, nullptr)) {}
  SlabRef& operator=(SlabRef other) noexcept {
    std::swap(slab_, other.slab_);
    return *this;
  }
  ~SlabRef() { reset(); }

  void reset() {
    Slab* slab = std::exchange(slab_, nullptr);
    if (slab != nullptr && slab->release()) Slab::destroy(slab);
  }
  // Gives the slab up if this was the last reference to it, else nullptr.
  Slab* reclaim() {
    Slab* slab = std::exchange(slab_, nullptr);
    return slab != nullptr && slab->release() ? slab : nullptr;
  }
  Slab* operator->() const { return slab_; }
  explicit operator bool() const { return slab_ != nullptr; }

 private:
  Slab* slab_ = nullptr;
};

// Free standard slabs of one I/O thread: an idle connection holds none.
class SlabPool {
 public:
  ~SlabPool() {
    for (Slab* slab : free_) Slab::destroy(slab);
  }
  SlabRef take() {
    if (free_.empty()) return SlabRef(Slab::make(Slab::kStandard));
    Slab* slab = free_.back();
    free_.pop_back();
    slab->retain();
    return SlabRef(slab);
  }
  void give(SlabRef ref) {
    Slab* slab = ref.reclaim();
    if (slab == nullptr) return;
    if (checked()) poison(slab->data(), slab->capacity());
    if (slab->capacity() == Slab::kStandard && free_.size() < kMax)
      free_.push_back(slab);
    else
      Slab::destroy(slab);
  }

 private:
  static constexpr size_t kMax = 256;
  std::vector<Slab*> free_;
};

}  // namespace bulkhead::runtime
