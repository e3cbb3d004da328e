#include "store.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <thread>

#include "people_migrations.hpp"

namespace people {

using bulkhead::Failure;
using bulkhead::sql_text;
using bulkhead::SqlResult;
using bulkhead::SqlTransaction;

namespace {

std::string columns(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + std::string(kFields[i].column);
  return text;
}

// The statements never change while the program runs.
struct Texts {
  std::string shown = columns(kShown);
  std::string all = columns(std::size(kFields));
  std::string find = "select " + shown + ", version from people where deleted_at is null";
  std::string lock = "select " + all + ", version from people where uuid = :uuid and deleted_at is null";
  std::string lock_deleted = "select " + all + ", version from people where uuid = :uuid and deleted_at is not null";
  std::string restore =
      "update people set deleted_at = null, version = version + 1 where uuid = :uuid and deleted_at is not null "
      "returning " +
      shown + ", version";
  std::string remove =
      "update people set deleted_at = current_timestamp, version = version + 1 where uuid = :uuid and deleted_at is "
      "null";
  std::string insert, insert_new, replace;

  Texts() {
    std::string places, assignments;
    for (const Field& field : kFields) {
      places += (places.empty() ? ":" : ", :") + std::string(field.column);
      if (field.name != "uuid") assignments += std::string(field.column) + " = :" + std::string(field.column) + ", ";
    }
    insert = "insert into people (" + all + ") values (" + places + ")";
    insert_new = insert + " on conflict do nothing";  // of the key; spread over servers no index can be named
    replace = "update people set " + assignments + "version = version + 1 where uuid = :uuid and deleted_at is null";
  }
};

const Texts& texts() {
  static const Texts instance;
  return instance;
}

// Kinds of the first `count` fields and of what follows them.
struct Kinds {
  std::array<int32_t, kShown + 1> record;
  std::array<int32_t, std::size(kFields) + 1> whole;
  constexpr Kinds() : record(), whole() {
    for (size_t i = 0; i < std::size(kFields); ++i) {
      if (i < kShown) record[i] = kFields[i].kind;
      whole[i] = kFields[i].kind;
    }
    record.back() = whole.back() = BH_INT;
  }
};
constexpr Kinds kKinds;

void read_record(std::span<const bh_value> cells, Record* record) {
  record->found = true;
  record->version = cells.back().as.i;
  record->json.reserve(320);
  write_record(cells.first(cells.size() - 1), &record->json);
}

std::vector<bh_value> insert_values(const Person& person) {
  std::vector<bh_value> values = person.values();
  values.insert(values.begin(), sql_text(person.uuid));
  return values;
}

SqlResult checked(SqlResult result) {
  if (!result.ok()) throw StatementFailed();
  return result;
}

}  // namespace

void Store::migrate(Done done) const { sql_.migrate("people", people_migrations::kMigrations, std::move(done)); }

namespace {

// So that the next plans are made for what is there. Only PostgreSQL keeps plans; its autovacuum
// comes within minutes. Where another role owns the table, the server only warns.
bool analyze(SqlTransaction& transaction, int32_t dialect) {
  return dialect != BH_SQL_POSTGRESQL || transaction.execute({.sql = "analyze people"}).ok();
}

}  // namespace

void Store::seed(const std::vector<Person>& people, Done done) const {
  sql_.transact(
      0, nullptr,
      [&people, dialect = sql_.dialect()](SqlTransaction& transaction) {
        static constexpr int32_t kCount = BH_INT;
        int64_t rows = 0;
        const SqlResult counted = transaction.execute({.sql = "select count(*) from people", .columns = {&kCount, 1}},
                                                      [&](std::span<const bh_value> cells) { rows = cells[0].as.i; });
        if (!counted.ok()) return false;
        if (rows != 0) return true;
        for (const Person& person : people)
          if (!transaction.execute({.sql = texts().insert_new, .values = insert_values(person)}).ok()) return false;
        return analyze(transaction, dialect);
      },
      std::move(done));
}

size_t Store::import(const std::vector<Person>& people) const {
  size_t added = 0;
  const auto all = [&](SqlTransaction& transaction) {
    added = 0;
    for (const Person& person : people) {
      const SqlResult inserted = transaction.execute({.sql = texts().insert_new, .values = insert_values(person)});
      if (!inserted.ok()) return false;
      added += static_cast<size_t>(inserted.affected);
    }
    return added == 0 || analyze(transaction, sql_.dialect());
  };
  // The database may still be connecting or preparing its schema.
  static constexpr std::chrono::milliseconds kPause{100};
  static constexpr int kAttempts = 300;
  SqlResult result;
  for (int i = 0; i < kAttempts; ++i) {
    try {
      result = sql_.wait_transaction(all);
    } catch (const Failure& failure) {
      result = {failure.code, 0, 0, "", failure.message};
    }
    if (result.status != BH_E_UNAVAILABLE) break;
    std::this_thread::sleep_for(kPause);
  }
  if (!result.ok()) throw Failure(result.status, "nothing was imported: " + result.message);
  return added;
}

void Store::ReadRecord::operator()(std::span<const bh_value> cells) const { read_record(cells, record); }

bulkhead::SqlLookup Store::lookup_of(std::string_view uuid, const bulkhead::Request& request) {
  return {.sql = texts().find,
          .key_column = "uuid",
          .key_type = "uuid",
          .key = sql_text(uuid),
          .columns = kKinds.record,
          .deadline_ns = request.deadline_ns(),
          .ex = request.handle()};
}

bulkhead::Task<Store::Page> Store::list(const ListQuery& query, bulkhead::Request request) const {
  std::vector<bh_value> values;
  const std::string text = query.sql(sql_.dialect(), &values);
  const std::vector<int32_t> columns = query.columns();
  Page page{"[", ""};
  page.json.reserve(static_cast<size_t>(query.limit) * 256 + 2);
  int64_t count = 0;
  const auto add = [&](std::span<const bh_value> cells) {
    if (count != 0) page.json += ',';
    write_record(cells.first(kShown), &page.json);
    if (++count == query.limit) page.cursor = query.cursor_behind(cells);
  };
  auto rows = sql_.query({.sql = text,
                          .values = values,
                          .columns = columns,
                          .flags = BH_SQL_READ,
                          .deadline_ns = request.deadline_ns(),
                          .ex = request.handle()},
                         add);
  const SqlResult result = co_await rows;
  bulkhead::require(result);
  page.json += ']';
  co_return page;
}

void Store::count(CountDone done) const {
  static constexpr std::array<int32_t, 3> kColumns = {BH_INT, BH_BOOL, BH_INT};
  auto counts = std::make_shared<Counts>();
  sql_.submit(
      {.sql = "select passenger_class, survived, count(*) from people where deleted_at is null "
              "group by passenger_class, survived",
       .columns = kColumns,
       .flags = BH_SQL_READ},
      [counts](std::span<const bh_value> cells) {
        (*counts)[{cells[0].as.i, cells[1].as.i != 0}] = cells[2].as.i;
      },
      [counts, done = std::move(done)](const SqlResult& result) { done(result, *counts); });
}

bulkhead::Task<SqlResult> Store::insert(const Person& person, bulkhead::Request request) const {
  const std::vector<bh_value> values = insert_values(person);
  auto inserted = sql_.query(
      {.sql = texts().insert, .values = values, .deadline_ns = request.deadline_ns(), .ex = request.handle()});
  co_return co_await inserted;
}

Record Store::lock(SqlTransaction& transaction, std::string_view uuid, std::string_view text) const {
  // SQLite's transaction has the only write lock already.
  const std::string locking = std::string(text) + (sql_.dialect() == BH_SQL_POSTGRESQL ? " for update" : "");
  const bh_value value = sql_text(uuid);
  Record record;
  checked(transaction.execute({.sql = locking, .values = {&value, 1}, .columns = kKinds.whole},
                              [&](std::span<const bh_value> cells) { read_record(cells, &record); }));
  return record;
}

Record Store::lock(SqlTransaction& transaction, std::string_view uuid) const {
  return lock(transaction, uuid, texts().lock);
}

Record Store::lock_deleted(SqlTransaction& transaction, std::string_view uuid) const {
  return lock(transaction, uuid, texts().lock_deleted);
}

Record Store::restore(SqlTransaction& transaction, std::string_view uuid) const {
  const bh_value value = sql_text(uuid);
  Record record;
  checked(transaction.execute({.sql = texts().restore, .values = {&value, 1}, .columns = kKinds.record},
                              [&](std::span<const bh_value> cells) { read_record(cells, &record); }));
  return record;
}

void Store::replace(SqlTransaction& transaction, const Person& person) const {
  std::vector<bh_value> values = person.values();
  values.push_back(sql_text(person.uuid));
  checked(transaction.execute({.sql = texts().replace, .values = values}));
}

void Store::remove(SqlTransaction& transaction, std::string_view uuid) const {
  const bh_value value = sql_text(uuid);
  checked(transaction.execute({.sql = texts().remove, .values = {&value, 1}}));
}

}  // namespace people
