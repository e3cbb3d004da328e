// Trace: what one request has to tell, kept until it ends.
//
// Whether a trace is exported is decided when its request is over, so spans wait in memory of the
// trace, which is given back in one piece. Traces are pooled; the exchange, each open span and the
// exporter hold a reference.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "context.hpp"

namespace tracing {

class Arena {
 public:
  void* allocate(size_t bytes);  // aligned for anything here
  std::string_view copy(std::string_view text);
  void reset();

 private:
  static constexpr size_t kBlock = 4096;
  std::vector<std::unique_ptr<std::byte[]>> blocks_, large_;
  size_t used_ = kBlock;  // of the last block
};

class Trace;

struct Attribute {
  std::string_view key;
  bh_value value;  // texts are in the arena
  Attribute* next;
};

// Says in each span whose it is; not to be tagged.
inline constexpr std::string_view kPluginKey = "bulkhead.plugin";

struct Link {
  TraceParent to;
  Link* next;
};

struct Span {
  Trace* trace;
  SpanId id, parent;  // parent: zeros where there is none
  int32_t kind;
  bool failed;
  uint32_t attribute_count, dropped_attributes, link_count;
  std::string_view name, plugin, message;  // message: of a failure, a constant
  uint64_t start_ns, end_ns;               // on the host's clock
  Attribute* attributes;                   // the last one first
  Link* links;
  Span* next;
};

struct Limits {
  uint32_t spans = 128, attributes = 128, links = 128;  // of a trace, of a span, of a span
  uint32_t text = 4096;                                 // bytes of a value
};

class TracePool;

class Trace {
 public:
  enum class Head : uint8_t { kUndecided, kIn, kOut };

  Trace(TracePool& pool, size_t shard, const Limits& limits) : limits_(limits), pool_(pool), shard_(shard) {}

  void ref() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void unref();

  // ---- [any] A span holds a reference until it is ended.
  // Null where the trace has as many spans as it may; the request's own has a place kept for it.
  enum class Place : uint8_t { kCounted, kReserved };
  Span* begin(int32_t kind, std::string_view name, std::string_view plugin, const SpanId& parent, uint64_t now,
              Place place = Place::kCounted);
  // A key that is there already gets the new value.
  void tag(Span& span, std::string_view key, const bh_value& value);
  void link(Span& span, const TraceParent& to);
  // True where the trace was exported already, and the caller has to export this one, reference
  // included.
  bool end(Span& span, uint64_t now, bool failed, std::string_view message);

  // The request is over: all spans that have ended, to be exported or forgotten. Those that end
  // later go the same way.
  Span* close(bool exported);
  std::string_view copy(std::string_view text);
  uint32_t span_count() const { return count_.load(std::memory_order_relaxed); }

  // Set when it begins, before other threads see it.
  TraceId trace_id{};
  SpanId span_id{}, parent_id{};
  uint8_t flags = 0;  // of the caller, and kRandom
  bool remote = false;
  std::string_view state;  // tracestate
  std::atomic<Head> head{Head::kUndecided};
  std::atomic<uint64_t> step{0};  // id of the span of the step that runs, 0: none

 private:
  friend class TracePool;
  enum class Fate : uint8_t { kOpen, kExported, kForgotten };

  Span* make(int32_t kind, std::string_view name, std::string_view plugin, uint64_t now);

  const Limits& limits_;
  TracePool& pool_;
  const size_t shard_;
  std::atomic<uint32_t> refs_{0};
  std::atomic<uint32_t> count_{0};
  std::mutex mutex_;  // what follows
  Arena arena_;
  Span* ended_ = nullptr;
  Fate fate_ = Fate::kOpen;
};

class TracePool {
 public:
  explicit TracePool(const Limits& limits) : limits_(limits) {}
  TracePool(const TracePool&) = delete;
  TracePool& operator=(const TracePool&) = delete;

  // With one reference.
  Trace& take();
  std::atomic<uint64_t> dropped_spans{0};  // past the limit of their trace

 private:
  friend class Trace;
  static constexpr size_t kShards = 16;
  struct Shard {
    std::mutex mutex;
    std::deque<Trace> all;
    std::vector<Trace*> free;
  };
  void give(Trace& trace);

  const Limits limits_;
  std::array<Shard, kShards> shards_;
};

}  // namespace tracing
