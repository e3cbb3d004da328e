// Entry: one answer as it is kept. Never changes once others see it.
#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/plugin.h"

namespace cache {

struct Entry : boost::intrusive_ref_counter<Entry, boost::thread_safe_counter> {
  Entry() = default;
  Entry(const Entry&) = delete;  // fields() views its own strings
  Entry& operator=(const Entry&) = delete;

  std::string key, etag, body;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::vector<uint32_t> slots;                               // of its tags
  uint64_t began_ns = 0, expires_ns = 0;
  size_t added = 0;  // of the headers the last ones, which the answer itself did not have
  // Only the ETag is known, from a 304: it answers who has the same one.
  bool validator_only = false;

  // Once all members are set.
  void finish();
  size_t bytes() const { return bytes_; }
  // Fields of the answer, and of a 304 for it.
  const std::vector<bh_pair>& fields() const { return fields_; }
  const std::vector<bh_pair>& fields_304() const { return fields_304_; }

  // For the second level, of a whole answer: without times, which are this host's. decode() gives nullptr for what is
  // no entry, or the entry of another key.
  std::string encode() const;
  static boost::intrusive_ptr<Entry> decode(std::string_view bytes, std::string_view key);

 private:
  std::vector<bh_pair> fields_, fields_304_;
  size_t bytes_ = 0;
};

using EntryRef = boost::intrusive_ptr<const Entry>;

// Whether a 304 says the field too (RFC 9110 §15.4.5).
bool kept_in_304(std::string_view name);
// Strong: of the body's SHA-256.
std::string etag_of(std::string_view body);

}  // namespace cache
