#include "trace.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "random.hpp"

namespace tracing {

void* Arena::allocate(size_t bytes) {
  bytes = (bytes + alignof(std::max_align_t) - 1) / alignof(std::max_align_t) * alignof(std::max_align_t);
  if (bytes > kBlock / 4) return large_.emplace_back(std::make_unique<std::byte[]>(bytes)).get();
  if (used_ + bytes > kBlock) {
    blocks_.push_back(std::make_unique<std::byte[]>(kBlock));
    used_ = 0;
  }
  void* at = blocks_.back().get() + used_;
  used_ += bytes;
  return at;
}

std::string_view Arena::copy(std::string_view text) {
  if (text.empty()) return {};
  char* at = static_cast<char*>(allocate(text.size()));
  std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

// One block stays for the next request.
void Arena::reset() {
  large_.clear();
  if (blocks_.size() > 1) blocks_.resize(1);
  used_ = blocks_.empty() ? kBlock : 0;
}

void Trace::unref() {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) pool_.give(*this);
}

Span* Trace::make(int32_t kind, std::string_view name, std::string_view plugin, uint64_t now) {
  auto* span = new (arena_.allocate(sizeof(Span))) Span{};
  span->trace = this;
  span->id = random_span_id();
  span->kind = kind;
  span->name = arena_.copy(name);
  span->plugin = arena_.copy(plugin);
  span->start_ns = now;
  return span;
}

Span* Trace::begin(int32_t kind, std::string_view name, std::string_view plugin, const SpanId& parent, uint64_t now,
                   Place place) {
  if (place == Place::kCounted && count_.fetch_add(1, std::memory_order_relaxed) >= limits_.spans) {
    count_.fetch_sub(1, std::memory_order_relaxed);
    pool_.dropped_spans.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  ref();
  const std::lock_guard lock(mutex_);
  Span* span = make(kind, name, plugin, now);
  span->parent = parent;
  return span;
}

void Trace::tag(Span& span, std::string_view key, const bh_value& value) {
  if (key == kPluginKey) return;
  const std::lock_guard lock(mutex_);
  Attribute* attribute = span.attributes;
  while (attribute != nullptr && attribute->key != key) attribute = attribute->next;
  if (attribute == nullptr) {
    if (span.attribute_count == limits_.attributes) {
      ++span.dropped_attributes;
      return;
    }
    attribute = new (arena_.allocate(sizeof(Attribute))) Attribute{arena_.copy(key), value, span.attributes};
    span.attributes = attribute;
    ++span.attribute_count;
  }
  attribute->value = value;
  if (value.kind == BH_TEXT || value.kind == BH_BYTES) {
    const std::string_view text = arena_.copy({value.as.s.ptr, std::min<size_t>(value.as.s.len, limits_.text)});
    attribute->value.as.s = {text.data(), text.size()};
  }
}

void Trace::link(Span& span, const TraceParent& to) {
  const std::lock_guard lock(mutex_);
  if (span.link_count == limits_.links) return;
  span.links = new (arena_.allocate(sizeof(Link))) Link{to, span.links};
  ++span.link_count;
}

bool Trace::end(Span& span, uint64_t now, bool failed, std::string_view message) {
  {
    const std::lock_guard lock(mutex_);
    span.end_ns = now;
    span.failed = failed;
    span.message = message;
    if (fate_ == Fate::kExported) return true;
    if (fate_ == Fate::kOpen) {
      span.next = ended_;
      ended_ = &span;
    }
  }
  unref();
  return false;
}

Span* Trace::close(bool exported) {
  const std::lock_guard lock(mutex_);
  fate_ = exported ? Fate::kExported : Fate::kForgotten;
  return std::exchange(ended_, nullptr);
}

std::string_view Trace::copy(std::string_view text) {
  const std::lock_guard lock(mutex_);
  return arena_.copy(text);
}

Trace& TracePool::take() {
  static std::atomic<size_t> next{0};
  static thread_local size_t mine = SIZE_MAX;
  if (mine == SIZE_MAX) mine = next.fetch_add(1, std::memory_order_relaxed) % kShards;
  Shard& shard = shards_[mine];
  Trace* trace = nullptr;
  {
    const std::lock_guard lock(shard.mutex);
    if (shard.free.empty()) {
      trace = &shard.all.emplace_back(*this, mine, limits_);
    } else {
      trace = shard.free.back();
      shard.free.pop_back();
    }
  }
  trace->ref();
  return *trace;
}

void TracePool::give(Trace& trace) {
  {
    const std::lock_guard lock(trace.mutex_);
    trace.arena_.reset();
    trace.ended_ = nullptr;
    trace.fate_ = Trace::Fate::kOpen;
  }
  trace.count_.store(0, std::memory_order_relaxed);
  trace.state = {};
  trace.flags = 0;
  trace.remote = false;
  trace.parent_id = {};
  trace.head.store(Trace::Head::kUndecided, std::memory_order_relaxed);
  trace.step.store(0, std::memory_order_relaxed);
  Shard& shard = shards_[trace.shard_];
  const std::lock_guard lock(shard.mutex);
  shard.free.push_back(&trace);
}

}  // namespace tracing
