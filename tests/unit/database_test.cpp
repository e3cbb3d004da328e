#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>

#include "bulkhead/services/sql.hpp"
#include "bulkhead/testing/local_host.hpp"
#include "lookup_batch.hpp"
#include "migrations.hpp"
#include "postgresql/conninfo.hpp"
#include "postgresql/multirow.hpp"
#include "postgresql/pg_backend.hpp"
#include "postgresql/pg_statements.hpp"
#include "session.hpp"
#include "sqlite/sqlite_backend.hpp"
#include "sqlite/sqlite_session.hpp"
#include "url.hpp"

using namespace database;
using bulkhead::sql_int;
using bulkhead::sql_null;
using bulkhead::sql_real;
using bulkhead::sql_text;
using bulkhead::SqlQuery;

namespace {

std::string keyword(const Url& url, std::string_view name) {
  for (const auto& [key, value] : url.keywords)
    if (key == name) return value;
  return "";
}

struct File {
  std::string path =
      testing::TempDir() + "/bulkhead-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".db";
  ~File() {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix);
  }
  static inline int counter = 0;
};

SessionSettings settings_for(const File& file) {
  SessionSettings settings;
  EXPECT_EQ(parse_url("sqlite:///" + file.path, &settings.url), "");
  return settings;
}

}  // namespace

TEST(Conninfo, Names) {
  Url url;
  ASSERT_EQ(parse_url("postgresql://db-1:5433,192.0.2.1,[2001:db8::1]:5434,db-2/x", &url), "");
  EXPECT_EQ(names_of(url.keywords), (std::vector<std::string>{"db-1", "db-2"}));
  ASSERT_EQ(parse_url("postgresql:///x?host=/var/run/postgresql", &url), "");
  EXPECT_TRUE(names_of(url.keywords).empty());
  ASSERT_EQ(parse_url("postgresql:///x", &url), "");
  EXPECT_TRUE(names_of(url.keywords).empty()) << "libpq knows";
}

TEST(Conninfo, EveryServerHasItsAddress) {
  const std::map<std::string, std::vector<std::string>> addresses = {{"one", {"192.0.2.1"}},
                                                                     {"two", {"192.0.2.2", "2001:db8::2"}}};
  const auto placed = [&](const std::string& text) {
    Url url;
    EXPECT_EQ(parse_url("postgresql://" + text, &url), "");
    if (!place(&url.keywords, addresses)) return std::string("nowhere");
    return keyword(url, "host") + " | " + keyword(url, "hostaddr") + " | " + keyword(url, "port");
  };
  EXPECT_EQ(placed("one/x"), "one | 192.0.2.1 | ");
  EXPECT_EQ(placed("two:5433/x"), "two,two | 192.0.2.2,2001:db8::2 | 5433");
  EXPECT_EQ(placed("one:1,two:2/x"), "one,two,two | 192.0.2.1,192.0.2.2,2001:db8::2 | 1,2,2");
  EXPECT_EQ(placed("unknown:1,one/x"), "one | 192.0.2.1 | ") << "its own port, which is the default one";
  EXPECT_EQ(placed("unknown:1,two:2/x"), "two,two | 192.0.2.2,2001:db8::2 | 2,2");
  EXPECT_EQ(placed("192.0.2.9:1,one:2/x"), "192.0.2.9,one | ,192.0.2.1 | 1,2");
  EXPECT_EQ(placed("192.0.2.9:1,unknown:2/x"), "192.0.2.9 |  | 1");
  EXPECT_EQ(placed("unknown:1,unknown:2/x"), "nowhere");
  EXPECT_EQ(placed("192.0.2.9:1/x"), "192.0.2.9 |  | 1") << "nothing to find";
  EXPECT_EQ(placed("/x?host=/run"), "/run |  | ");
  EXPECT_EQ(placed("/x"), " |  | ");
}

TEST(Conninfo, SaysWhichNameIsUnknown) {
  SessionSettings settings;
  ASSERT_EQ(parse_url("postgresql://name.invalid,127.0.0.1/x", &settings.url), "");
  std::stop_source stop;
  stop.request_stop();
  settings.stopping = stop.get_token();
  const Conninfo some = conninfo(settings);
  EXPECT_NE(some.text.find("host='127.0.0.1'"), std::string::npos) << some.text;
  EXPECT_TRUE(some.unknown.starts_with("name.invalid: ")) << some.unknown;
  ASSERT_EQ(parse_url("postgresql://name.invalid/x", &settings.url), "");
  const Conninfo none = conninfo(settings);
  EXPECT_EQ(none.text, "");
  EXPECT_TRUE(none.unknown.starts_with("name.invalid: ")) << none.unknown;
  ASSERT_EQ(parse_url("postgresql://127.0.0.1/x", &settings.url), "");
  EXPECT_EQ(conninfo(settings).unknown, "");
  EXPECT_EQ(conninfo(settings).text.find("hostaddr"), std::string::npos);
}

TEST(Url, Postgresql) {
  Url url;
  ASSERT_EQ(parse_url("postgresql://us%40er:p%20w%27%5C%3A@db.example:5433/titanic?sslmode=require", &url), "");
  EXPECT_EQ(url.backend, &kPostgresql);
  EXPECT_EQ(keyword(url, "user"), "us@er");
  EXPECT_EQ(url.password, "p w'\\:");
  EXPECT_EQ(keyword(url, "host"), "db.example");
  EXPECT_EQ(keyword(url, "port"), "5433");
  EXPECT_EQ(keyword(url, "sslmode"), "require");
  EXPECT_EQ(url.display.find("p%20w"), std::string::npos) << "no password in what is shown";
  ASSERT_EQ(parse_url("postgres://[::1]:5432/x", &url), "");
  EXPECT_EQ(keyword(url, "host"), "::1");
  ASSERT_EQ(parse_url("postgresql://u@/x?host=%2Fvar%2Frun", &url), "");
  EXPECT_EQ(keyword(url, "host"), "/var/run");
}

TEST(Url, SeveralServersOfWhichOneTakesWrites) {
  Url url;
  ASSERT_EQ(parse_url("postgresql://u:secret@a:5433,[::1],c:5435/x?target_session_attrs=read-write", &url), "");
  EXPECT_EQ(keyword(url, "host"), "a,::1,c");
  EXPECT_EQ(keyword(url, "port"), "5433,,5435");
  EXPECT_EQ(keyword(url, "target_session_attrs"), "read-write");
  ASSERT_EQ(parse_url("postgresql://u@a,b/x", &url), "");
  EXPECT_EQ(keyword(url, "host"), "a,b");
  EXPECT_EQ(keyword(url, "port"), "");
  EXPECT_NE(parse_url("postgresql://u@a:1,b:x/y", &url), "");
}

TEST(Url, Sqlite) {
  Url url;
  ASSERT_EQ(parse_url("sqlite:///var/titanic.db", &url), "");
  EXPECT_EQ(url.path, "var/titanic.db");
  ASSERT_EQ(parse_url("sqlite:////abs/x.db", &url), "");
  EXPECT_EQ(url.path, "/abs/x.db");
}

TEST(Url, RefusesAndNeverShowsThePassword) {
  Url url;
  for (const char* bad :
       {"", "mysql://x/y", "postgresql://", "postgresql://u:secret@h", "postgresql://u:secret@h:port/x",
        "postgresql://u:secret@h/x?sslmod=a", "postgresql://u:secret%zz@h/x", "postgresql://u:secret@h/a%20b",
        "sqlite:///", "sqlite://x", "postgresql://u:secret@h/x?options=-c"}) {
    const std::string wrong = parse_url(bad, &url);
    EXPECT_NE(wrong, "") << bad;
    EXPECT_EQ(wrong.find("secret"), std::string::npos) << wrong;
  }
}

TEST(Postgresql, PlaceholdersByOrderOfAppearance) {
  EXPECT_EQ(positional("select :a, b from t where c = :c_1 and d=:d"), "select $1, b from t where c = $2 and d=$3");
  EXPECT_EQ(positional("select ':x', \":y\", 'it''s :z', e::text, cast(:k as uuid[])"),
            "select ':x', \":y\", 'it''s :z', e::text, cast($1 as uuid[])");
  EXPECT_EQ(positional(""), "");
  EXPECT_EQ(positional("a : b ::"), "a : b ::");
}

TEST(Session, BindsAndReadsEveryKind) {
  const File file;
  const SessionSettings settings = settings_for(file);
  SqliteSession session(settings);
  ASSERT_EQ(session.connect().status, BH_OK);
  ASSERT_EQ(session.script("create table t (i integer, r real, b integer, s text); create table u (x)").status, BH_OK);
  const bh_value values[] = {sql_int(9007199254740993), sql_real(0.1), bulkhead::sql_bool(true), sql_text("ä ' \" :x")};
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(
        session.execute(SqlQuery{.sql = "insert into t values (:i, :r, :b, :s)", .values = values}.to_query()).affected,
        1);
  const bh_value nulls[] = {sql_null(), sql_null(), sql_null(), sql_null()};
  ASSERT_EQ(
      session.execute(SqlQuery{.sql = "insert into t values (:i, :r, :b, :s)", .values = nulls}.to_query()).status,
      BH_OK);
  const int32_t kinds[] = {BH_INT, BH_REAL, BH_BOOL, BH_TEXT};
  std::vector<std::string> rows;
  bh_sql_query query = SqlQuery{.sql = "select i, r, b, s from t order by rowid", .columns = kinds}.to_query();
  query.row = [](void* arg, const bh_value* c, size_t n) -> bh_status {
    EXPECT_EQ(n, 4u);
    static_cast<std::vector<std::string>*>(arg)->push_back(
        c[0].kind == BH_NULL ? "null"
                             : std::to_string(c[0].as.i) + " " + std::to_string(c[1].as.r) + " " +
                                   std::string(bulkhead::to_view(c[3].as.s)));
    return BH_OK;
  };
  query.arg = &rows;
  EXPECT_EQ(session.execute(query).rows, 4u);
  EXPECT_EQ(rows[0], "9007199254740993 0.100000 ä ' \" :x");
  EXPECT_EQ(rows[3], "null");
}

TEST(Session, ErrorsAreClassifiedAndSurvived) {
  const File file;
  const SessionSettings settings = settings_for(file);
  SqliteSession session(settings);
  ASSERT_EQ(session.connect().status, BH_OK);
  ASSERT_EQ(session.script("create table t (x integer primary key)").status, BH_OK);
  const bh_value one = sql_int(1), nul = sql_text(std::string_view("a\0b", 3));
  const SqlQuery insert{.sql = "insert into t values (:x)", .values = {&one, 1}};
  EXPECT_EQ(session.execute(insert.to_query()).status, BH_OK);
  EXPECT_EQ(session.execute(insert.to_query()).status, BH_E_CONFLICT);
  EXPECT_EQ(session.execute(SqlQuery{.sql = "insert into t values (:x)", .values = {&nul, 1}}.to_query()).status,
            BH_E_INVALID);
  EXPECT_EQ(session.execute(SqlQuery{.sql = "selec"}.to_query()).status, BH_E_INTERNAL);
  const bh_value two = sql_int(2);
  EXPECT_EQ(session.execute(SqlQuery{.sql = "insert into t values (:x)", .values = {&two, 1}}.to_query()).status,
            BH_OK);
}

TEST(Session, StatementTimeoutEndsARunawayQuery) {
  const File file;
  SessionSettings settings = settings_for(file);
  settings.statement_timeout_ms = 100;
  SqliteSession session(settings);
  ASSERT_EQ(session.connect().status, BH_OK);
  const int32_t kind = BH_INT;
  const Outcome outcome = session.execute(SqlQuery{
      .sql = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n",
      .columns = {&kind, 1}}.to_query());
  EXPECT_EQ(outcome.status, BH_E_TIMEOUT) << outcome.message;
}

TEST(Session, ManyStatementsStayWithinTheCache) {
  const File file;
  const SessionSettings settings = settings_for(file);
  SqliteSession session(settings);
  ASSERT_EQ(session.connect().status, BH_OK);
  const int32_t kind = BH_INT;
  for (int i = 0; i < 600; ++i) {
    const std::string sql = "select " + std::to_string(i % 300);
    ASSERT_EQ(session.execute(SqlQuery{.sql = sql, .columns = {&kind, 1}}.to_query()).rows, 1u);
  }
}

namespace {

struct Answer {
  std::vector<std::string> rows;
  bh_status status = BH_E_STATE;
  int calls = 0;
};

bh_sql_lookup lookup_of(const bh_value& key, std::span<const int32_t> columns, Answer* answer) {
  bh_sql_lookup lookup{};
  lookup.size = sizeof lookup;
  lookup.sql = BH_LIT("select k, v from t where v <> 'hidden'");
  lookup.key_column = BH_LIT("k");
  lookup.key_type = BH_LIT("text");
  lookup.key = key;
  lookup.columns = columns.data();
  lookup.column_count = columns.size();
  lookup.deadline_ns = UINT64_MAX;
  lookup.row = [](void* arg, const bh_value* cells, size_t) -> bh_status {
    static_cast<Answer*>(arg)->rows.emplace_back(bulkhead::to_view(cells[1].as.s));
    return BH_OK;
  };
  lookup.done = [](void* arg, const bh_sql_result* result) {
    static_cast<Answer*>(arg)->status = result->status;
    ++static_cast<Answer*>(arg)->calls;
  };
  lookup.arg = answer;
  return lookup;
}

}  // namespace

TEST(Lookup, EachGetsItsRowItsNotFoundOrItsError) {
  const File file;
  const SessionSettings settings = settings_for(file);
  SqliteSession session(settings);
  ASSERT_EQ(session.connect().status, BH_OK);
  ASSERT_EQ(session
                .script("create table t (k text primary key, v text); insert into t values ('a', '1'), "
                        "('b', '2'), ('\"q\\', '3'), (char(10) || 'x', '4'), ('h', 'hidden'), ('é', '5')")
                .status,
            BH_OK);
  const std::vector<std::string> keys = {"b", "absent", "a", "\"q\\", "b", "\nx", "h", "é", "a", "a"};
  std::vector<Answer> answers(keys.size());
  static constexpr int32_t kKinds[] = {BH_TEXT, BH_TEXT};
  std::unique_ptr<LookupBatch> batch;
  for (size_t i = 0; i < keys.size(); ++i) {
    const bh_sql_lookup lookup = lookup_of(sql_text(keys[i]), kKinds, &answers[i]);
    ASSERT_EQ(LookupBatch::check(lookup), "");
    if (!batch)
      batch = std::make_unique<LookupBatch>(lookup, kSqlite);
    else if (batch->takes(lookup))
      batch->add(lookup);
  }
  ASSERT_EQ(batch->size(), keys.size());
  const Outcome outcome = batch->run(session, true);
  EXPECT_EQ(outcome.status, BH_OK);
  EXPECT_EQ(outcome.rows, 5u) << "equal keys are asked for once";
  batch->finish(outcome);
  using Rows = std::vector<std::string>;
  const std::vector<Rows> wanted = {{"2"}, {}, {"1"}, {"3"}, {"2"}, {"4"}, {}, {"5"}, {"1"}, {"1"}};
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(answers[i].rows, wanted[i]) << keys[i];
    EXPECT_EQ(answers[i].status, BH_OK);
    EXPECT_EQ(answers[i].calls, 1);
  }
}

TEST(Lookup, OneBadKeyFailsAlone) {
  const File file;
  const SessionSettings settings = settings_for(file);
  SqliteSession session(settings);
  ASSERT_EQ(session.connect().status, BH_OK);
  ASSERT_EQ(
      session
          .script(
              "create table t (k text primary key, v text); insert into t values ('a', '1'), ('b', '{'), ('c', '3')")
          .status,
      BH_OK);
  Answer good, bad, last, late;
  static constexpr int32_t kKinds[] = {BH_TEXT, BH_TEXT};
  const auto lookup = [&](const char* key, Answer* answer) {
    bh_sql_lookup out = lookup_of(sql_text(key), kKinds, answer);
    out.sql = BH_LIT("select k, json(v) from t where true");  // of b it is an error
    return out;
  };
  LookupBatch batch(lookup("c", &last), kSqlite);
  batch.add(lookup("b", &bad));
  batch.add(lookup("a", &good));
  bh_sql_lookup expired = lookup("a", &late);
  expired.deadline_ns = 5;
  batch.add(expired);
  Outcome why;
  EXPECT_FALSE(batch.expire(
      6, [](bh_exchange*) { return false; }, &why))
      << "some are left";
  EXPECT_EQ(late.status, BH_E_UNAVAILABLE);
  const Outcome outcome = batch.run(session, true);
  EXPECT_EQ(outcome.status, BH_E_INTERNAL) << "for the log";
  batch.finish(outcome);
  EXPECT_EQ(good.status, BH_OK);
  EXPECT_EQ(good.rows, std::vector<std::string>{"1"});
  EXPECT_EQ(last.rows, std::vector<std::string>{"3"});
  EXPECT_EQ(bad.status, BH_E_INTERNAL);
  EXPECT_TRUE(bad.rows.empty());
  for (const Answer* answer : {&good, &bad, &last, &late}) EXPECT_EQ(answer->calls, 1);
}

TEST(Session, WritesThatTravelTogether) {
  const File file;
  const SessionSettings settings = settings_for(file);
  SqliteSession session(settings);
  ASSERT_EQ(session.connect().status, BH_OK);
  ASSERT_EQ(session
                .script("create table p (x integer primary key); create table t (x integer primary key, y text, p "
                        "integer references p (x) deferrable initially deferred); create trigger r before insert on "
                        "t when new.y = 'all' begin select raise(rollback, 'all of it'); end")
                .status,
            BH_OK);
  const auto insert = [&](const std::vector<std::pair<int64_t, const char*>>& rows, int64_t parent) {
    std::vector<std::array<bh_value, 3>> values;
    std::vector<bh_sql_query> queries;
    std::vector<const bh_sql_query*> pointers;
    for (const auto& [x, y] : rows) values.push_back({sql_int(x), sql_text(y), x == parent ? sql_int(x) : sql_null()});
    for (const auto& each : values)
      queries.push_back(SqlQuery{.sql = "insert into t values (:x, :y, :p)", .values = each}.to_query());
    for (const bh_sql_query& query : queries) pointers.push_back(&query);
    std::vector<Outcome> outcomes(rows.size());
    EXPECT_EQ(session.execute_together(pointers, outcomes).status, BH_OK);
    std::vector<bh_status> statuses;
    for (const Outcome& outcome : outcomes) statuses.push_back(outcome.status);
    return statuses;
  };
  using Statuses = std::vector<bh_status>;
  EXPECT_EQ(insert({{1, "a"}, {2, "b"}, {1, "again"}, {3, "c"}}, 0), (Statuses{BH_OK, BH_OK, BH_E_CONFLICT, BH_OK}));
  EXPECT_EQ(insert({{4, "a"}, {5, "all"}, {6, "c"}}, 0), (Statuses{BH_OK, BH_E_CONFLICT, BH_OK}))
      << "one that takes the transaction along takes nobody along";
  EXPECT_EQ(insert({{7, "a"}, {8, "b"}, {9, "c"}}, 8), (Statuses{BH_OK, BH_E_CONFLICT, BH_OK}))
      << "nor does one that fails at the commit";
  int64_t rows = 0;
  const int32_t kind = BH_INT;
  bh_sql_query count = SqlQuery{.sql = "select count(*) from t", .columns = {&kind, 1}}.to_query();
  count.row = [](void* arg, const bh_value* c, size_t) -> bh_status {
    *static_cast<int64_t*>(arg) = c[0].as.i;
    return BH_OK;
  };
  count.arg = &rows;
  session.execute(count);
  EXPECT_EQ(rows, 7);
}

TEST(Lookup, OthersDoNotTravelAlong) {
  static constexpr int32_t kTexts[] = {BH_TEXT, BH_TEXT}, kNumbers[] = {BH_TEXT, BH_INT};
  Answer answer;
  const bh_sql_lookup lookup = lookup_of(sql_text("a"), kTexts, &answer);
  const LookupBatch batch(lookup, kPostgresql);
  EXPECT_EQ(batch.sql(), "select k, v from t where v <> 'hidden' and k = any(cast(:keys as text[]))");
  EXPECT_TRUE(batch.takes(lookup));
  EXPECT_FALSE(batch.takes(lookup_of(sql_text("a"), kNumbers, &answer)));
  bh_sql_lookup other = lookup;
  other.sql = BH_LIT("select k, v from t where true");
  EXPECT_FALSE(batch.takes(other));
  other = lookup;
  other.key = sql_int(1);
  EXPECT_FALSE(batch.takes(other));
  EXPECT_NE(LookupBatch::check(other), "") << "the first column is the key";
}

TEST(Migrations, NumberedAppliedOnceAlsoByTwoAtOnce) {
  const File file;
  const SessionSettings settings = settings_for(file);
  const bh_sql_migration list[] = {{1, 0, BH_LIT("one"), BH_LIT("create table a (x)")},
                                   {2, 0, BH_LIT("two"), BH_LIT("insert into a values (1); insert into a values (2)")}};
  bh_sql_migrations m{};
  m.size = sizeof m;
  m.owner = BH_LIT("test");
  m.list = list;
  m.count = 2;
  Migrations migrations;
  ASSERT_EQ(migrations.add(m), "");
  EXPECT_NE(migrations.add(m), "") << "an owner registers once";
  const auto apply = [&] {
    SqliteSession session(settings);
    EXPECT_EQ(session.connect().status, BH_OK);
    return Migrations::apply(session, kSqlite, migrations.sets()[0]).status;
  };
  std::vector<std::future<bh_status>> hosts;
  for (int i = 0; i < 4; ++i) hosts.push_back(std::async(std::launch::async, apply));
  for (auto& host : hosts) EXPECT_EQ(host.get(), BH_OK);
  SqliteSession session(settings);
  ASSERT_EQ(session.connect().status, BH_OK);
  const int32_t kind = BH_INT;
  int64_t rows = 0;
  bh_sql_query count = SqlQuery{.sql = "select count(*) from a", .columns = {&kind, 1}}.to_query();
  count.row = [](void* arg, const bh_value* c, size_t) -> bh_status {
    *static_cast<int64_t*>(arg) = c[0].as.i;
    return BH_OK;
  };
  count.arg = &rows;
  session.execute(count);
  EXPECT_EQ(rows, 2);
}

TEST(Migrations, GapsAndDefectsAreNamed) {
  const bh_sql_migration gap[] = {{2, 0, BH_LIT("two"), BH_LIT("select 1")}};
  bh_sql_migrations m{};
  m.size = sizeof m;
  m.owner = BH_LIT("test");
  m.list = gap;
  m.count = 1;
  Migrations migrations;
  EXPECT_NE(migrations.add(m), "");
  const bh_sql_migration broken[] = {{1, 0, BH_LIT("broken"), BH_LIT("create tabel x")}};
  m.list = broken;
  ASSERT_EQ(migrations.add(m), "");
  const File file;
  const SessionSettings settings = settings_for(file);
  SqliteSession session(settings);
  ASSERT_EQ(session.connect().status, BH_OK);
  const Outcome outcome = Migrations::apply(session, kSqlite, migrations.sets()[0]);
  EXPECT_EQ(outcome.status, BH_E_INTERNAL);
  EXPECT_NE(outcome.message.find("migration 1 (broken) of test"), std::string::npos) << outcome.message;
}

namespace {

bulkhead::Json configuration(const File& file) {
  return {{"url", "sqlite:///" + file.path},
          {"pool", bulkhead::Json::object()},
          {"queue", 16},
          {"batch", 8},
          {"wait_timeout_ms", 60000},
          {"statement_timeout_ms", 60000},
          {"direct_url", ""},
          {"replicas", bulkhead::Json::array()},
          {"replica_lag_ms", 1000},
          {"connect_timeout_s", 1},
          {"service", "test"}};
}

}  // namespace

// The plugin through the host: readiness, refusals, metrics.
TEST(Plugin, ServesAndStops) {
  const File file;
  bulkhead::testing::LocalHost host(bh_plugin_v1());
  host.create(configuration(file));
  const auto* api = static_cast<const bh_sql*>(host.service(BH_SQL_ID));
  EXPECT_EQ(api->dialect, BH_SQL_SQLITE);
  std::promise<bh_status> promise;
  bh_sql_query query = SqlQuery{.sql = "select 1"}.to_query();
  query.done = [](void* arg, const bh_sql_result* r) {
    static_cast<std::promise<bh_status>*>(arg)->set_value(r->status);
  };
  query.arg = &promise;
  bh_error err{};
  err.size = sizeof err;
  auto* plugin = host.self();
  EXPECT_EQ(api->submit(plugin, &query, &err), BH_E_UNAVAILABLE) << "not started";
  host.start();
  for (int i = 0; i < 5000; ++i) {
    if (api->submit(plugin, &query, &err) == BH_OK) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(promise.get_future().get(), BH_OK);
  host.stop();
  const auto records = host.records();
  EXPECT_TRUE(std::any_of(records.begin(), records.end(), [](const auto& r) {
    return r.metric == "db_query_latency_seconds" && r.labels[0] == "select";
  }));
  EXPECT_TRUE(std::any_of(records.begin(), records.end(), [](const auto& r) {
    return r.metric == "db_pool_size" && r.labels[0] == "test" && r.value > 0;
  }));
}

// A worker that reached such a query while it could not run held up all others, and the migration.
TEST(Plugin, QueriesThatWaitGoOnAfterAMigration) {
  const File file;
  bulkhead::testing::LocalHost host(bh_plugin_v1());
  host.create(configuration(file));
  const auto* api = static_cast<const bh_sql*>(host.service(BH_SQL_ID));
  bh_error err{};
  err.size = sizeof err;
  struct Ended {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<bh_status> all;
  } ended;
  const auto done = [](void* arg, const bh_sql_result* r) {
    auto& to = *static_cast<Ended*>(arg);
    const std::lock_guard lock(to.mutex);
    to.all.push_back(r->status);
    to.changed.notify_all();
  };
  bh_sql_query query = SqlQuery{.sql =
                                    "with recursive n(x) as (select 1 union all select x + 1 from n limit 100000) "
                                    "select count(*) from n",
                                .flags = BH_SQL_READ}
                           .to_query();
  query.done = done;
  query.arg = &ended;
  host.start();
  size_t queries = 0;
  while (queries < 12) {  // more than run at once
    const bh_status status = api->submit(host.self(), &query, &err);
    ASSERT_TRUE(status == BH_OK || (status == BH_E_UNAVAILABLE && queries == 0)) << err.message;
    if (status == BH_OK) ++queries;
  }
  const bh_sql_migration list[] = {
      {1, 0, BH_LIT("slow"),
       BH_LIT("create table a as with recursive n(x) as (select 1 union all select x + 1 from n limit 1000000) "
              "select count(*) from n")}};
  bh_sql_migrations migrations{};
  migrations.size = sizeof migrations;
  migrations.owner = BH_LIT("test");
  migrations.list = list;
  migrations.count = 1;
  migrations.done = done;
  migrations.arg = &ended;
  ASSERT_EQ(api->migrate(host.self(), &migrations, &err), BH_OK) << err.message;
  {
    std::unique_lock lock(ended.mutex);
    ASSERT_TRUE(ended.changed.wait_for(lock, std::chrono::seconds(60), [&] { return ended.all.size() == queries + 1; }))
        << ended.all.size() << " of " << queries + 1;
    EXPECT_EQ(ended.all, std::vector<bh_status>(queries + 1, BH_OK));
  }
  host.stop();
}

TEST(Plugin, RefusesABadUrl) {
  bulkhead::testing::LocalHost host(bh_plugin_v1());
  EXPECT_THROW(host.create({{"url", "mysql://x"}, {"pool", bulkhead::Json::object()}}), std::runtime_error);
}

TEST(MultiRow, WhereNothingFollowsTheRow) {
  using database::MultiRow;
  const auto parts = MultiRow::of("insert into t (a, b) values (:a, :b)");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->text(1), "insert into t (a, b) values (:a, :b)");
  EXPECT_EQ(parts->text(3), "insert into t (a, b) values (:a, :b), (:a, :b), (:a, :b)");
  for (const char* sql :
       {"insert into t values (:a) on conflict do nothing", "insert into t values (:a) returning a",
        "insert into t values (now())", "insert into t values (:a, 1)", "insert into t values ()",
        "insert into t values (:a,)", "insert into t values (:a :b)", "update t set a = :a", "insert into t select :a",
        "insert into \"a values b\" values (:a)", "insert into t values (:)"})
    EXPECT_FALSE(MultiRow::of(sql)) << sql;
}

TEST(MultiRow, MergesRunsOfTheSameText) {
  const std::string one = "insert into t values (:a)", other = "insert into u values (:a)",
                    plain = "update t set a = :a";
  std::vector<bh_sql_query> queries(80);
  std::vector<bh_value> values(80);
  std::vector<std::string> many(80);
  std::vector<const bh_sql_query*> pointers;
  for (size_t i = 0; i < queries.size(); ++i) {
    values[i] = {BH_INT, 0, {static_cast<int64_t>(i)}};
    queries[i].size = sizeof(bh_sql_query);
    queries[i].sql = bulkhead::to_str(i < 13 ? one : i < 15 ? other : i < 17 ? plain : one);
    queries[i].values = &values[i];
    queries[i].value_count = 1;
    pointers.push_back(&queries[i]);
  }
  database::MultiRowTexts texts;
  const auto merged = database::merge(pointers, &texts);
  std::vector<size_t> counts;
  size_t next = 0;
  for (const auto& each : merged) {
    EXPECT_EQ(each.first, next);
    EXPECT_EQ(each.query.value_count, each.count);
    for (size_t row = 0; row < each.count; ++row)
      EXPECT_EQ(each.query.values[row].as.i, static_cast<int64_t>(each.first + row));
    next += each.count;
    counts.push_back(each.count);
  }
  EXPECT_EQ(counts, (std::vector<size_t>{8, 4, 1, 2, 1, 1, 32, 16, 8, 4, 2, 1}));
  // More texts than are kept, in one batch and over many.
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < queries.size(); ++i) {
      many[i] = "insert into t" + std::to_string(round * 40 + static_cast<int>(i) / 2) + " values (:a)";
      queries[i].sql = bulkhead::to_str(many[i]);
    }
    for (const auto& each : database::merge(pointers, &texts))
      EXPECT_TRUE(bulkhead::to_view(each.query.sql).ends_with("values (:a), (:a)"));
  }
}
