// One answer: Draft while it is put together, Entry once it is kept.
#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/plugin.h"

namespace cache {

struct Draft {
  std::string key, etag, body;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::vector<uint32_t> slots;                               // of its tags
  uint64_t began_ns = 0, expires_ns = 0;
  uint64_t made_ns = 0;  // when it was answered, for its Age
  uint64_t age_ns = 0;   // that it had by then
  size_t added = 0;      // of the headers the last ones, which the answer itself did not have
  // Only the ETag is known, from a 304: it answers callers that have the same one.
  bool validator_only = false;

  // For the second level, of a whole answer: without times, which are this host's, but with the
  // moment it was answered by the wall clock. decode() gives nothing for what is no answer, or that
  // of another key.
  std::string encode(uint64_t made_wall_s) const;
  static std::optional<Draft> decode(std::string_view bytes, std::string_view key, uint64_t* made_wall_s);
};

class Entry;
using EntryRef = boost::intrusive_ptr<const Entry>;

// Never changes, but for `used`. All that a hit needs lies behind the object, in one piece of
// memory with it: a hundred thousand of them are in no cache of the CPU, and in no TLB.
class Entry : public boost::intrusive_ref_counter<Entry, boost::thread_safe_counter> {
 public:
  static EntryRef make(const Draft& draft);
  static void operator delete(void* memory) { ::operator delete(memory); }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  std::string_view key() const { return key_; }
  std::string_view etag() const { return etag_; }
  std::string_view body() const { return body_; }
  std::span<const uint32_t> slots() const { return slots_; }
  // Fields of the answer, and of a 304 for it. The last two are Age, whose value each answer has of
  // its own, and Cache-Status.
  std::span<const bh_pair> fields() const { return fields_; }
  std::span<const bh_pair> fields_304() const { return fields_304_; }
  uint64_t began_ns() const { return began_ns_; }
  uint64_t expires_ns() const { return expires_ns_; }
  uint64_t age_s(uint64_t now_ns) const { return now_ns > made_ns_ ? (now_ns - made_ns_) / 1'000'000'000 : 0; }
  bool validator_only() const { return validator_only_; }
  size_t bytes() const { return bytes_; }

  // Answered a request since it was put at the front. Responses' own, under its lock.
  mutable bool used = false;

 private:
  struct Behind {
    size_t bytes;
  };
  Entry(const Draft& draft, Behind behind);
  static void* operator new(size_t object, Behind behind) { return ::operator new(object + behind.bytes); }
  static void operator delete(void* memory, Behind /*behind*/) { ::operator delete(memory); }

  const uint64_t began_ns_, expires_ns_, made_ns_;
  const bool validator_only_;
  const size_t bytes_;
  std::span<const bh_pair> fields_, fields_304_;
  std::span<const uint32_t> slots_;
  std::string_view key_, etag_, body_;
};

// Whether a 304 says the field too (RFC 9110 §15.4.5).
bool kept_in_304(std::string_view name);
// Strong: of the body's SHA-256.
std::string etag_of(std::string_view body);

}  // namespace cache
