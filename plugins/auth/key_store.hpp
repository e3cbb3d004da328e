// The table of keys. Times are the database's, so hosts need not agree on one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bulkhead/services/sql.hpp"
#include "key.hpp"

namespace auth {

class KeyStore {
 public:
  // Done: false with what is wrong in the result.
  using Done = std::function<void(const bulkhead::SqlResult&)>;
  using One = std::function<void(const bulkhead::SqlResult&, std::optional<KeyRecord>)>;
  using Many = std::function<void(const bulkhead::SqlResult&, std::vector<KeyRecord>)>;

  explicit KeyStore(const bulkhead::Host& host);

  void migrate(Done done) const;
  // All of them run `done` once, on a session's thread, and throw Failure where the database refuses at once.
  // Read on the primary: a replica may not have heard of a key's end.
  void find(std::string_view id, bh_exchange* ex, One done) const;
  void list(bh_exchange* ex, Many done) const;
  // Gives the record as it was stored.
  void add(const KeyRecord& key, bh_exchange* ex, One done) const;
  // In one transaction: `made`, of which id, hash, lifetime and who made it count, gets the old one's name, scopes and
  // tenant, and the old one ends after `grace_ms`. No record where the old one has ended meanwhile.
  void rotate(const KeyRecord& old, KeyRecord made, int64_t grace_ms, bh_exchange* ex, One done) const;
  // Revoked from now on; no record where there is none. Once more changes nothing.
  void revoke(std::string_view id, bh_exchange* ex, One done) const;
  // Another hash for the same key, where it still has the old one.
  void rehash(std::string_view id, std::string_view old_hash, std::string_view new_hash) const;
  // What has changed since, and the database's time.
  void changes(int64_t since_ms,
               std::function<void(const bulkhead::SqlResult&, int64_t now_ms, std::vector<KeyRecord>)> done) const;
  // Of many at once, for the present time.
  void used(std::span<const std::string> ids) const;

  void settle() const { sql_.settle(); }

 private:
  void one(const std::string& text, std::span<const bh_value> values, uint32_t flags, bh_exchange* ex, One done) const;

  std::string now_;  // the SQL of the present time
  std::string find_, list_, insert_, revoke_, used_, changes_;
  uint32_t reading_ = 0;
  bulkhead::Sql sql_;  // goes first: what runs reads the texts
};

}  // namespace auth
