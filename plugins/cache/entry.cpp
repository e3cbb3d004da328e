#include "entry.hpp"

#include <algorithm>
#include <array>

#include "bulkhead/plugin.hpp"
#include "digest.hpp"
#include "message.hpp"

namespace cache {

using bulkhead::to_str;

namespace {

constexpr std::string_view kMark = "bulkhead-cache-1";
// Of the list, the table and the block itself, beside what the strings hold.
constexpr size_t kOverhead = 256;

}  // namespace

bool kept_in_304(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames = {"cache-control", "content-location", "etag", "expires",
                                                             "vary"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

void Entry::finish() {
  static constexpr std::string_view kHit = "bulkhead; hit";
  bytes_ = sizeof(Entry) + kOverhead + key.capacity() + etag.capacity() + body.capacity() +
           slots.capacity() * sizeof(uint32_t);
  fields_.reserve(headers.size() + 1);
  for (const auto& [name, value] : headers) {
    fields_.push_back({to_str(name), to_str(value)});
    if (kept_in_304(name)) fields_304_.push_back(fields_.back());
    bytes_ += 2 * (sizeof(std::string) + sizeof(bh_pair)) + name.capacity() + value.capacity();
  }
  fields_.push_back({to_str("cache-status"), to_str(kHit)});
  fields_304_.push_back(fields_.back());
}

// A mark, then strings, each behind its length: key, ETag, body, slots, names and values of the fields, an empty one.
std::string Entry::encode() const {
  std::string out(kMark);
  const auto put = [&](std::string_view text) {
    const auto size = static_cast<uint32_t>(text.size());
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(size >> shift & 0xff);
    out += text;
  };
  put(key);
  put(etag);
  put(body);
  put(slot_list(slots));
  for (const auto& [name, value] : headers) {
    put(name);
    put(value);
  }
  put("");
  return out;
}

boost::intrusive_ptr<Entry> Entry::decode(std::string_view bytes, std::string_view key) {
  if (!bytes.starts_with(kMark)) return nullptr;
  bytes.remove_prefix(kMark.size());
  bool good = true;
  const auto get = [&]() -> std::string_view {
    uint32_t size = 0;
    good = good && bytes.size() >= sizeof size;
    for (size_t i = 0; good && i < sizeof size; ++i) size |= uint32_t{static_cast<unsigned char>(bytes[i])} << 8 * i;
    good = good && bytes.size() - sizeof size >= size;
    if (!good) return {};
    const std::string_view text = bytes.substr(sizeof size, size);
    bytes.remove_prefix(sizeof size + size);
    return text;
  };
  if (get() != key || !good) return nullptr;
  boost::intrusive_ptr<Entry> entry(new Entry);
  entry->key = key;
  entry->etag = get();
  entry->body = get();
  good = read_slots(get(), &entry->slots) && good;
  for (std::string_view name = get(); !name.empty(); name = get()) entry->headers.emplace_back(name, get());
  if (!good || !bytes.empty() || entry->etag.empty() || entry->slots.empty()) return nullptr;
  entry->finish();
  return entry;
}

std::string etag_of(std::string_view body) { return '"' + digest_hex(Digest::kSha256, body).substr(0, 32) + '"'; }

}  // namespace cache
