#include "key_store.hpp"

#include <algorithm>
#include <array>

#include "auth_migrations.hpp"

namespace auth {

using bulkhead::sql_int;
using bulkhead::sql_text;
using bulkhead::SqlResult;
using bulkhead::SqlTransaction;
using bulkhead::to_view;

namespace {

constexpr std::string_view kColumns =
    "id, name, hash, scopes, tenant, created_by, lifetime_ms, created_ms, expires_ms, revoked_ms, last_used_ms";
constexpr std::string_view kWritten =
    "id, name, hash, scopes, tenant, created_by, lifetime_ms, created_ms, expires_ms, changed_ms";
constexpr size_t kCells = 11, kUsedAtOnce = 64;
constexpr std::array<int32_t, kCells> kKinds = {BH_TEXT, BH_TEXT, BH_TEXT, BH_TEXT, BH_TEXT, BH_TEXT,
                                                BH_INT,  BH_INT,  BH_INT,  BH_INT,  BH_INT};

KeyRecord record_of(std::span<const bh_value> cells) {
  const auto text = [&](size_t i) { return std::string(to_view(cells[i].as.s)); };
  const auto number = [&](size_t i) { return cells[i].as.i; };
  return {text(0), text(1), text(2), text(3), text(4), text(5), number(6), number(7), number(8), number(9), number(10)};
}

std::array<bh_value, 7> values_of(const KeyRecord& key) {
  return {sql_text(key.id),     sql_text(key.name),       sql_text(key.hash),      sql_text(key.scopes),
          sql_text(key.tenant), sql_text(key.created_by), sql_int(key.lifetime_ms)};
}

}  // namespace

KeyStore::KeyStore(const bulkhead::Host& host) : sql_(host) {
  const bool postgresql = sql_.dialect() == BH_SQL_POSTGRESQL;
  now_ = postgresql ? "(extract(epoch from clock_timestamp()) * 1000)::bigint"
                    : "cast((julianday('now') - 2440587.5) * 86400000 as integer)";
  const std::string columns(kColumns);
  find_ = "select " + columns + " from auth_keys where id = :id";
  list_ = "select " + columns + " from auth_keys order by created_ms, id";
  // One reading of the clock for all three times; the cast says what PostgreSQL cannot see from a
  // placeholder.
  insert_ = "insert into auth_keys (" + std::string(kWritten) +
            ") select :id, :name, :hash, :scopes, :tenant, :created_by, l.span, t.now, case when l.span = 0 then 0 "
            "else t.now + l.span end, t.now from (select " +
            now_ + " as now) t, (select cast(:lifetime as bigint) as span) l returning " + columns;
  revoke_ = "update auth_keys set revoked_ms = case when revoked_ms = 0 then " + now_ +
            " else revoked_ms end, changed_ms = " + now_ + " where id = :id returning " + columns;
  used_ = "update auth_keys set last_used_ms = " + now_ + " where id in (";
  for (size_t i = 0; i < kUsedAtOnce; ++i) used_ += (i == 0 ? ":id" : ", :id") + std::to_string(i);
  used_ += ")";
  // Replicas may not have heard of a key's end; without any, a read needs not wait for writers.
  reading_ = sql_.replica_lag_ms() == 0 ? uint32_t{BH_SQL_READ} : 0;
  changes_ = "select " + columns + ", " + now_ + " from auth_keys where changed_ms >= :since";
}

void KeyStore::migrate(Done done) const { sql_.migrate("auth", auth_migrations::kMigrations, std::move(done)); }

// The text and the values are the awaiting frame's.
bulkhead::Task<KeyStore::MaybeKey> KeyStore::one(std::string_view text, std::span<const bh_value> values,
                                                 uint32_t flags, bh_exchange* ex) const {
  MaybeKey found;
  const auto take = [&](std::span<const bh_value> cells) { found = record_of(cells); };
  auto query = sql_.query({.sql = text, .values = values, .columns = kKinds, .flags = flags, .ex = ex}, take);
  const SqlResult result = co_await query;
  bulkhead::require(result);
  co_return found;
}

bulkhead::Task<KeyStore::MaybeKey> KeyStore::find(std::string id, bh_exchange* ex) const {
  const std::array values = {sql_text(id)};
  auto found = one(find_, values, reading_, ex);
  co_return co_await found;
}

bulkhead::Task<std::vector<KeyRecord>> KeyStore::list(bh_exchange* ex) const {
  std::vector<KeyRecord> found;
  const auto take = [&](std::span<const bh_value> cells) { found.push_back(record_of(cells)); };
  auto query = sql_.query({.sql = list_, .columns = kKinds, .flags = reading_, .ex = ex}, take);
  const SqlResult result = co_await query;
  bulkhead::require(result);
  co_return found;
}

bulkhead::Task<KeyStore::MaybeKey> KeyStore::add(KeyRecord key, bh_exchange* ex) const {
  const auto values = values_of(key);
  auto added = one(insert_, values, 0, ex);
  co_return co_await added;
}

bulkhead::Task<KeyStore::MaybeKey> KeyStore::rotate(KeyRecord old, KeyRecord made, int64_t grace_ms,
                                                    bh_exchange* ex) const {
  made.name = old.name;
  made.scopes = old.scopes;
  made.tenant = old.tenant;
  MaybeKey stored;
  const auto exchange_keys = [&](SqlTransaction& transaction) {
    stored.reset();
    // One statement locks the old key, sees that it is still in use, and ends it after the grace.
    const std::string end =
        "update auth_keys set changed_ms = " + now_ + ", expires_ms = case when expires_ms = 0 or expires_ms > " +
        now_ + " + :grace then " + now_ +
        " + :again else expires_ms end where id = :id and revoked_ms = 0 and (expires_ms = 0 or expires_ms > " + now_ +
        ")";
    const SqlResult ended =
        transaction.execute({.sql = end, .values = std::array{sql_int(grace_ms), sql_int(grace_ms), sql_text(old.id)}});
    if (!ended.ok() || ended.affected == 0) return ended.ok();
    return transaction
        .execute({.sql = insert_, .values = values_of(made), .columns = kKinds},
                 [&](std::span<const bh_value> cells) { stored = record_of(cells); })
        .ok();
  };
  auto transaction = sql_.transact(0, ex, exchange_keys);
  const SqlResult result = co_await transaction;
  bulkhead::require(result);
  co_return stored;
}

bulkhead::Task<KeyStore::MaybeKey> KeyStore::revoke(std::string id, bh_exchange* ex) const {
  const std::array values = {sql_text(id)};
  auto revoked = one(revoke_, values, 0, ex);
  co_return co_await revoked;
}

void KeyStore::rehash(std::string_view id, std::string_view old_hash, std::string_view new_hash) const {
  const std::string text =
      "update auth_keys set hash = :hash, changed_ms = " + now_ + " where id = :id and hash = :old_hash";
  sql_.submit(
      {.sql = text, .values = std::array{sql_text(new_hash), sql_text(id), sql_text(old_hash)}},
      [](std::span<const bh_value>) {}, [](const SqlResult&) {});
}

void KeyStore::changes(int64_t since_ms,
                       std::function<void(const SqlResult&, int64_t, std::vector<KeyRecord>)> done) const {
  struct State {
    int64_t now = 0;
    std::vector<KeyRecord> changed;
  };
  auto state = std::make_shared<State>();
  // One row more than there are changes, so that the time comes in any case.
  static constexpr std::array<int32_t, kCells + 1> kWithTime = {BH_TEXT, BH_TEXT, BH_TEXT, BH_TEXT, BH_TEXT, BH_TEXT,
                                                                BH_INT,  BH_INT,  BH_INT,  BH_INT,  BH_INT,  BH_INT};
  const std::string text = changes_ + " union all select '', '', '', '', '', '', 0, 0, 0, 0, 0, " + now_;
  sql_.submit(
      {.sql = text, .values = std::array{sql_int(since_ms)}, .columns = kWithTime, .flags = reading_},
      [state](std::span<const bh_value> cells) {
        state->now = std::max(state->now, cells[kCells].as.i);
        if (cells[0].as.s.len != 0) state->changed.push_back(record_of(cells));
      },
      [state, done = std::move(done)](const SqlResult& result) {
        done(result, state->now, std::move(state->changed));
      });
}

void KeyStore::used(std::span<const std::string> ids) const {
  for (; !ids.empty(); ids = ids.subspan(std::min(ids.size(), kUsedAtOnce))) {
    std::array<bh_value, kUsedAtOnce> values;
    values.fill(sql_text(""));
    for (size_t i = 0; i < std::min(ids.size(), kUsedAtOnce); ++i) values[i] = sql_text(ids[i]);
    sql_.submit(
        {.sql = used_, .values = values}, [](std::span<const bh_value>) {}, [](const SqlResult&) {});
  }
}

}  // namespace auth
