// Tokens whose signature and claims were found good, by the digest of their text: none is kept as
// it was sent.
#pragma once

#include <openssl/sha.h>

#include <array>
#include <cstring>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "identity.hpp"

namespace auth {

using Digest256 = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

inline Digest256 sha256(std::string_view text) {
  Digest256 digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

struct DigestHash {
  size_t operator()(const Digest256& digest) const {
    size_t value = 0;
    std::memcpy(&value, digest.data(), sizeof value);
    return value;
  }
};

// [any] Bounded: two generations of at most `capacity` each; what is used moves to the younger one.
template <typename Value>
class DigestCache {
 public:
  explicit DigestCache(size_t capacity) : capacity_(capacity / kShards + 1) {}

  Value find(const Digest256& digest) {
    Shard& shard = shard_of(digest);
    const std::lock_guard lock(shard.mutex);
    if (const auto found = shard.young.find(digest); found != shard.young.end()) return found->second;
    const auto found = shard.old.find(digest);
    if (found == shard.old.end()) return {};
    Value value = found->second;
    put(shard, digest, value);
    return value;
  }
  void put(const Digest256& digest, Value value) {
    Shard& shard = shard_of(digest);
    const std::lock_guard lock(shard.mutex);
    put(shard, digest, std::move(value));
  }
  void clear() {
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      shard.young.clear();
      shard.old.clear();
    }
  }

 private:
  using Map = std::unordered_map<Digest256, Value, DigestHash>;
  struct Shard {
    std::mutex mutex;
    Map young, old;
  };
  static constexpr size_t kShards = 16;

  Shard& shard_of(const Digest256& digest) { return shards_[digest.back() % kShards]; }
  void put(Shard& shard, const Digest256& digest, Value value) {
    if (shard.young.size() >= capacity_) {
      shard.old = std::move(shard.young);
      shard.young.clear();
    }
    shard.young.insert_or_assign(digest, std::move(value));
  }

  const size_t capacity_;
  std::array<Shard, kShards> shards_;
};

}  // namespace auth
