// The table of keys. Times are the database's, so hosts need not agree on one.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/services/sql.hpp"
#include "key.hpp"

namespace auth {

class KeyStore {
 public:
  using Done = std::function<void(const bulkhead::SqlResult&)>;
  using MaybeKey = std::optional<KeyRecord>;

  explicit KeyStore(const bulkhead::Host& host);

  void migrate(Done done) const;
  // ---- awaited. They throw Failure where the database fails; `ex` is on whose behalf, or null.
  // Read on the primary: a replica may not have heard of a key's end.
  bulkhead::Task<MaybeKey> find(std::string id, bh_exchange* ex) const;
  bulkhead::Task<std::vector<KeyRecord>> list(bh_exchange* ex) const;
  // Gives the record as it was stored.
  bulkhead::Task<MaybeKey> add(KeyRecord key, bh_exchange* ex) const;
  // In one transaction: `made` (id, hash, lifetime, created_by) gets the old key's name, scopes and
  // tenant, and the old key expires after `grace_ms`. No record where the old key has expired
  // meanwhile.
  bulkhead::Task<MaybeKey> rotate(KeyRecord old, KeyRecord made, int64_t grace_ms, bh_exchange* ex) const;
  // Revoked from now on; no record where there is none. Once more changes nothing.
  bulkhead::Task<MaybeKey> revoke(std::string id, bh_exchange* ex) const;

  // ---- in the background. They throw Failure where the database refuses at once.
  // Another hash for the same key, where it still has the old one.
  void rehash(std::string_view id, std::string_view old_hash, std::string_view new_hash) const;
  // What has changed since, and the database's time.
  void changes(int64_t since_ms,
               std::function<void(const bulkhead::SqlResult&, int64_t now_ms, std::vector<KeyRecord>)> done) const;
  // Of many at once, for the present time.
  void used(std::span<const std::string> ids) const;

  void settle() const { sql_.settle(); }

 private:
  bulkhead::Task<MaybeKey> one(std::string_view text, std::span<const bh_value> values, uint32_t flags,
                               bh_exchange* ex) const;

  std::string now_;  // the SQL of the present time
  std::string find_, list_, insert_, revoke_, used_, changes_;
  uint32_t reading_ = 0;
  bulkhead::Sql sql_;  // goes first: what runs reads the texts
};

}  // namespace auth
