#include "entry.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "bulkhead/plugin.hpp"
#include "digest.hpp"

namespace cache {

using bulkhead::Json;
using bulkhead::to_str;

namespace {

constexpr int kVersion = 1;
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

std::string Entry::encode() const {
  Json list = Json::array();
  for (const auto& [name, value] : headers) list.push_back({name, value});
  const Json whole = {{"v", kVersion}, {"k", key},
                      {"e", etag},     {"h", std::move(list)},
                      {"s", slots},    {"b", Json::binary(std::vector<uint8_t>(body.begin(), body.end()))}};
  std::string out;
  Json::to_cbor(whole, out);
  return out;
}

boost::intrusive_ptr<Entry> Entry::decode(std::string_view bytes, std::string_view key) {
  try {
    const Json whole = Json::from_cbor(bytes);
    if (whole.at("v") != kVersion || whole.at("k").get_ref<const std::string&>() != key) return nullptr;
    boost::intrusive_ptr<Entry> entry(new Entry);
    entry->key = key;
    whole.at("e").get_to(entry->etag);
    whole.at("h").get_to(entry->headers);
    whole.at("s").get_to(entry->slots);
    const auto& body = whole.at("b").get_binary();
    entry->body.assign(body.begin(), body.end());
    if (entry->etag.empty() || entry->slots.empty()) return nullptr;
    entry->finish();
    return entry;
  } catch (const Json::exception&) {
    return nullptr;
  }
}

std::string etag_of(std::string_view body) { return '"' + digest_hex(Digest::kSha256, body).substr(0, 32) + '"'; }

}  // namespace cache
