#include "entry.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <new>

#include "bulkhead/plugin.hpp"
#include "digest.hpp"
#include "message.hpp"

namespace cache {

using bulkhead::to_str;

namespace {

constexpr std::string_view kMark = "bulkhead-cache-2";
// Of the list, the table and the allocator.
constexpr size_t kOverhead = 192;
constexpr size_t kOwn = 2;  // fields that every answer has from here: Age, Cache-Status

size_t count_in_304(const Draft& draft) {
  return static_cast<size_t>(std::count_if(draft.headers.begin(), draft.headers.end(),
                                           [](const auto& header) { return kept_in_304(header.first); }));
}

}  // namespace

bool kept_in_304(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames = {"cache-control", "content-location", "etag", "expires",
                                                             "vary"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

EntryRef Entry::make(const Draft& draft) {
  const size_t in_304 = count_in_304(draft);
  size_t size = (draft.headers.size() + in_304 + 2 * kOwn) * sizeof(bh_pair) + alignof(bh_pair) +
                draft.slots.size() * sizeof(uint32_t) + draft.key.size() + draft.etag.size() + draft.body.size();
  for (const auto& [name, value] : draft.headers) size += name.size() + value.size();
  const Behind behind{size};
  return EntryRef(new (behind) Entry(draft, behind));
}

// What a hit reads comes first, in the order it is read; the fields of a 304 come last.
Entry::Entry(const Draft& draft, Behind behind)
    : began_ns_(draft.began_ns),
      expires_ns_(draft.expires_ns),
      made_ns_(draft.made_ns),
      validator_only_(draft.validator_only),
      bytes_(sizeof(Entry) + kOverhead + behind.bytes) {
  static constexpr std::string_view kAge = "age", kNone = "0", kStatus = "cache-status", kHit = "bulkhead; hit";
  auto* const pair = new (this + 1) bh_pair[draft.headers.size() + kOwn];
  auto* const slot = new (pair + draft.headers.size() + kOwn) uint32_t[draft.slots.size()];
  std::copy(draft.slots.begin(), draft.slots.end(), slot);
  slots_ = {slot, draft.slots.size()};
  auto* text = reinterpret_cast<char*>(slot + draft.slots.size());
  const auto put = [&](std::string_view from) {
    std::copy(from.begin(), from.end(), text);
    const std::string_view kept(text, from.size());
    text += from.size();
    return kept;
  };
  key_ = put(draft.key);
  bh_pair* next = pair;
  for (const auto& [name, value] : draft.headers) {
    const std::string_view kept_name = put(name);
    *next++ = {to_str(kept_name), to_str(put(value))};
  }
  etag_ = put(draft.etag);
  body_ = put(draft.body);

  void* at = text;
  size_t left = SIZE_MAX;
  std::align(alignof(bh_pair), sizeof(bh_pair), at, left);
  auto* const pair_304 = new (at) bh_pair[count_in_304(draft) + kOwn];
  bh_pair* const next_304 = std::copy_if(
      pair, next, pair_304, [](const bh_pair& field) { return kept_in_304(bulkhead::to_view(field.name)); });
  next[0] = next_304[0] = {to_str(kAge), to_str(kNone)};
  next[1] = next_304[1] = {to_str(kStatus), to_str(kHit)};
  fields_ = {pair, next + kOwn};
  fields_304_ = {pair_304, next_304 + kOwn};
}

// A mark, then strings, each behind its length: key, when it was made, ETag, body, slots, names and
// values of the fields, an empty one.
std::string Draft::encode(uint64_t made_wall_s) const {
  std::string out(kMark);
  const auto put = [&](std::string_view text) {
    const auto size = static_cast<uint32_t>(text.size());
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(size >> shift & 0xff);
    out += text;
  };
  put(key);
  put(std::to_string(made_wall_s));
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

std::optional<Draft> Draft::decode(std::string_view bytes, std::string_view key, uint64_t* made_wall_s) {
  if (!bytes.starts_with(kMark)) return std::nullopt;
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
  if (get() != key || !good) return std::nullopt;
  Draft draft;
  draft.key = key;
  const std::string_view made = get();
  good = good &&
         std::from_chars(made.data(), made.data() + made.size(), *made_wall_s).ptr == made.data() + made.size() &&
         !made.empty();
  draft.etag = get();
  draft.body = get();
  good = read_slots(get(), &draft.slots) && good;
  for (std::string_view name = get(); !name.empty(); name = get()) draft.headers.emplace_back(name, get());
  if (!good || !bytes.empty() || draft.etag.empty() || draft.slots.empty()) return std::nullopt;
  return draft;
}

std::string etag_of(std::string_view body) { return '"' + sha256_hex(body).substr(0, 32) + '"'; }

}  // namespace cache
