#include <gtest/gtest.h>

#include <random>

#include "bulkhead/testing/local_host.hpp"
#include "bulkhead/testing/local_sql.hpp"
#include "bulkhead/text/fields.hpp"
#include "conditions.hpp"
#include "csv.hpp"
#include "query.hpp"
#include "record.hpp"
#include "uuid.hpp"

using namespace people;
using bulkhead::Json;

namespace {

Json valid() {
  return Json::parse(
      R"({"survived":false,"passengerClass":3,"name":"Braund, Mr. Owen Harris","sex":"male","age":22,"siblingsOrSpousesAboard":1,"parentsOrChildrenAboard":0,"fare":7.25})");
}

std::string errors_of(const Json& body, std::string_view uuid = "") {
  Person person;
  std::string text;
  for (const auto& error : read_person(body, uuid, &person)) text += error.pointer + " ";
  return text;
}

std::string problem_of(std::string_view query) {
  try {
    ListQuery::parse(query);
  } catch (const bulkhead::Problem& problem) {
    return std::to_string(problem.status) + " " + problem.detail;
  }
  return "";
}

}  // namespace

TEST(Record, ValidBodiesPass) {
  EXPECT_EQ(errors_of(valid()), "");
  Json body = valid();
  body["survived"] = 1;
  body["age"] = nullptr;
  body.erase("fare");
  body["embarked"] = "S";
  body["name"] = "  trimmed  ";
  Person person;
  EXPECT_TRUE(read_person(body, "", &person).empty());
  EXPECT_TRUE(person.survived);
  EXPECT_EQ(person.name, "trimmed");
}

TEST(Record, EveryRuleHasAPointer) {
  const std::pair<const char*, Json> cases[] = {{"survived", 2},
                                                {"survived", "true"},
                                                {"passengerClass", 0},
                                                {"passengerClass", 4},
                                                {"passengerClass", 1.5},
                                                {"passengerClass", "1"},
                                                {"name", ""},
                                                {"name", "   "},
                                                {"name", 7},
                                                {"name", std::string(201, 'x')},
                                                {"sex", "unknown"},
                                                {"sex", nullptr},
                                                {"age", -1},
                                                {"age", 151},
                                                {"age", "22"},
                                                {"fare", 100001},
                                                {"fare", true},
                                                {"embarked", "X"},
                                                {"ticket", 1},
                                                {"siblingsOrSpousesAboard", 101},
                                                {"parentsOrChildrenAboard", -1},
                                                {"uuid", "anything"}};
  for (const auto& [field, value] : cases) {
    Json body = valid();
    body[field] = value;
    EXPECT_EQ(errors_of(body), std::string("/") + field + " ") << field << " " << value;
  }
  for (const char* field :
       {"survived", "passengerClass", "name", "sex", "siblingsOrSpousesAboard", "parentsOrChildrenAboard"}) {
    Json body = valid();
    body.erase(field);
    EXPECT_EQ(errors_of(body), std::string("/") + field + " ");
  }
  Json unknown = valid();
  unknown["a/b~c"] = 1;
  EXPECT_EQ(errors_of(unknown), "/a~1b~0c ");
  EXPECT_EQ(errors_of(Json::array()), " ");
  Json nul = valid();
  nul["name"] = std::string("a\0b", 3);
  EXPECT_EQ(errors_of(nul), "/name ");
  Json two_hundred = valid();
  two_hundred["name"] = [] {
    std::string s;
    for (int i = 0; i < 200; ++i) s += "é";
    return s;
  }();
  EXPECT_EQ(errors_of(two_hundred), "") << "characters are counted, not bytes";
}

TEST(Record, NumbersAreWrittenAsPromised) {
  Json body = valid();
  const std::pair<double, std::string> ages[] = {{22, "\"age\":22,"}, {0.42, "\"age\":0.42,"}, {150, "\"age\":150,"}};
  for (const auto& [age, text] : ages) {
    body["age"] = age;
    Person person;
    read_person(body, "", &person);
    std::string out;
    write_record(person, &out);
    EXPECT_NE(out.find(text), std::string::npos) << out;
  }
  const std::pair<double, std::string> fares[] = {
      {8, "\"fare\":8.0}"}, {7.25, "\"fare\":7.25}"}, {100000, "\"fare\":100000.0}"}, {0, "\"fare\":0.0}"}};
  for (const auto& [fare, text] : fares) {
    body["fare"] = fare;
    Person person;
    read_person(body, "", &person);
    std::string out;
    write_record(person, &out);
    EXPECT_NE(out.find(text), std::string::npos) << out;
  }
}

// Whatever is valid survives the way into JSON and back.
TEST(Record, PropertyRoundTrip) {
  std::mt19937 random(1);
  const std::string pieces[] = {"a", "é", "\"", "\\", "\n", "\x01", "漢", "😀", "/", " ", "'"};
  for (int round = 0; round < 2000; ++round) {
    Json body = valid();
    std::string name = "n";
    for (auto i = random() % 50; i > 0; --i) name += pieces[random() % 11];
    body["name"] = name + "n";
    body["age"] = static_cast<double>(random() % 15000) / 100;
    body["fare"] = static_cast<double>(random() % 10000000) / 10000;
    Person person;
    ASSERT_TRUE(read_person(body, "", &person).empty());
    std::string out;
    write_record(person, &out);
    const Json back = Json::parse(out);
    EXPECT_EQ(back["name"], body["name"]);
    EXPECT_EQ(back["age"], body["age"]);
    EXPECT_EQ(back["fare"], body["fare"]);
  }
}

TEST(Uuid, FixedRandomAndParsed) {
  EXPECT_EQ(passenger_uuid("1"), "73ef066a-5fec-5354-981b-d59049b1ea2c");
  const std::string made = random_uuid();
  EXPECT_EQ(made[14], '4');
  EXPECT_NE(made, random_uuid());
  std::string out;
  EXPECT_TRUE(parse_uuid("73EF066A-5FEC-5354-981B-D59049B1EA2C", &out));
  EXPECT_EQ(out, passenger_uuid("1"));
  for (const char* bad : {"", "1", "73ef066a-5fec-5354-981b-d59049b1ea2", "73ef066a-5fec-5354-981b-d59049b1ea2cc",
                          "73ef066a+5fec-5354-981b-d59049b1ea2c", "g3ef066a-5fec-5354-981b-d59049b1ea2c"})
    EXPECT_FALSE(parse_uuid(bad, &out)) << bad;
}

TEST(Query, BuildsBoundSql) {
  std::vector<bh_value> values;
  const ListQuery query =
      ListQuery::parse("passengerClass=1&sex=eq.female&order=age.desc.nullslast,name&limit=5&offset=10");
  EXPECT_EQ(
      query.sql(BH_SQL_SQLITE, &values),
      "select uuid, survived, passenger_class, name, sex, age, siblings_or_spouses_aboard, "
      "parents_or_children_aboard, fare, age, name, id from people where deleted_at is null and passenger_class = "
      ":f0 and sex = :f1 order by age desc nulls last, name asc nulls last, id limit :limit offset :offset");
  ASSERT_EQ(values.size(), 4u);
  EXPECT_EQ(values[0].as.i, 1);
  EXPECT_EQ(bulkhead::to_view(values[1].as.s), "female");
  EXPECT_EQ(values[2].as.i, 5);
  EXPECT_EQ(ListQuery::next("/people", "a=%20b&offset=10&limit=5&cursor=x", "y"), "/people?a=%20b&limit=5&cursor=y");
}

TEST(Query, CursorsContinueWhereTheLastRowWas) {
  const ListQuery first = ListQuery::parse("order=name,age.desc.nullslast");
  std::vector<bh_value> cells(kShown);
  cells.push_back(bulkhead::sql_text("O'Neil \"é\""));
  cells.push_back(bulkhead::sql_null());
  cells.push_back(bulkhead::sql_int(7));
  const std::string cursor = first.cursor_behind(cells);
  EXPECT_EQ(cursor.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
  std::vector<bh_value> values;
  const ListQuery second = ListQuery::parse("order=name,age.desc.nullslast&cursor=" + cursor);
  EXPECT_NE(second.sql(BH_SQL_SQLITE, &values)
                .find("and name >= :c0 and (name > :c1 or (name = :c2 and ((age is null and id > :c3)))) order by"),
            std::string::npos);
  ASSERT_EQ(values.size(), 6u);
  EXPECT_EQ(bulkhead::to_view(values[1].as.s), "O'Neil \"é\"");
  EXPECT_EQ(values[3].as.i, 7);
  for (const char* other : {"order=age.desc.nullslast,name", "order=name,age", "order=name", ""})
    EXPECT_NE(problem_of(std::string(other) + "&cursor=" + cursor).find("400 The cursor"), std::string::npos) << other;
  EXPECT_NE(problem_of("order=sex,age,sex").find("400 order names sex twice"), std::string::npos);
  // ["passengerClass>", -9223372036854775808, 1] and ["passengerClass>", 18446744073709551615, 1]
  for (const char* huge : {"WyJwYXNzZW5nZXJDbGFzcz4iLC05MjIzMzcyMDM2ODU0Nzc1ODA4LDFd",
                           "WyJwYXNzZW5nZXJDbGFzcz4iLDE4NDQ2NzQ0MDczNzA5NTUxNjE1LDFd"})
    EXPECT_NE(problem_of(std::string("order=passengerClass&cursor=") + huge).find("400 The cursor"), std::string::npos);
  for (const char* bad : {"", "!", "AAAA", "W10", "WyIiLDEuNV0", "bnVsbA", "WyIiLCJ4Il0", "WyIiLG51bGxd"})
    EXPECT_NE(problem_of(std::string("cursor=") + bad).find("400 The cursor"), std::string::npos) << bad;
}

TEST(Query, SaysWhatIsWrong) {
  EXPECT_NE(problem_of("agee=3").find("400 'agee' is not a field, did you mean 'age'"), std::string::npos);
  EXPECT_NE(problem_of("limit=-1").find("400 limit must be"), std::string::npos);
  EXPECT_NE(problem_of("limit=x"), "");
  EXPECT_NE(problem_of("limit="), "");
  EXPECT_NE(problem_of("offset=1.5"), "");
  EXPECT_NE(problem_of("age=old").find("age must be a number"), std::string::npos);
  EXPECT_NE(problem_of("survived=maybe"), "");
  EXPECT_NE(problem_of("age=gte.18").find("operator 'gte' is not supported"), std::string::npos);
  EXPECT_NE(problem_of("order=name.up"), "");
  EXPECT_NE(problem_of("order=nam").find("did you mean 'name'"), std::string::npos);
  EXPECT_NE(problem_of("name=%ff").find("UTF-8"), std::string::npos);
  EXPECT_NE(problem_of("uuid=nonsense").find("not a UUID"), std::string::npos);
  EXPECT_EQ(ListQuery::parse("limit=99999999999999999999").limit, 1000);
  EXPECT_EQ(problem_of(""), "");
  EXPECT_EQ(problem_of("&&limit=2&"), "");
  EXPECT_EQ(ListQuery::parse("limit=5000").limit, 1000);
}

// The text of a statement depends on names alone, never on values.
TEST(Query, PropertyValuesNeverBecomeSql) {
  std::mt19937 random(2);
  const std::string evil[] = {"'",   "\"", ";",  "--",     "%27",   ":x", "$1", "drop table people",
                              "%00", "\\", "/*", "or 1=1", "%C3%A9"};
  std::vector<bh_value> values;
  const std::string expected = ListQuery::parse("name=x&sex=y").sql(BH_SQL_POSTGRESQL, &values);
  for (int round = 0; round < 3000; ++round) {
    std::string a, b;
    for (auto i = random() % 6; i > 0; --i) a += evil[random() % 13];
    for (auto i = random() % 6; i > 0; --i) b += evil[random() % 13];
    try {
      const ListQuery query = ListQuery::parse("name=" + a + "&sex=" + b);
      values.clear();
      EXPECT_EQ(query.sql(BH_SQL_POSTGRESQL, &values), expected);
    } catch (const bulkhead::Problem& problem) {
      EXPECT_EQ(problem.status, 400);
    }
  }
}

TEST(Csv, BothShippedShapes) {
  const auto all = read_csv(SOURCE_DIR "/plugins/people/data/titanic891.csv");
  ASSERT_EQ(all.size(), 891u);
  EXPECT_EQ(std::count_if(all.begin(), all.end(), [](const Person& p) { return p.survived; }), 342);
  EXPECT_EQ(all[0].uuid, passenger_uuid("1"));
  EXPECT_EQ(all[0].ticket, "A/5 21171");
  EXPECT_FALSE(all[5].age);
  const auto other = read_csv(SOURCE_DIR "/tests/data/titanic887.csv");
  ASSERT_EQ(other.size(), 887u);
  EXPECT_EQ(other[0].name, "Mr. Owen Harris Braund");
  EXPECT_NE(other[0].uuid, all[0].uuid);
}

TEST(Csv, FaultsNameTheLine) {
  const std::string header = "Survived,Pclass,Name,Sex,Age,SibSp,Parch,Fare\n";
  auto fault = [&](const std::string& text) -> std::string {
    try {
      parse_csv(text);
    } catch (const bulkhead::Failure& failure) {
      return failure.message;
    }
    return "";
  };
  EXPECT_EQ(fault(header + "0,3,\"A, \"\"x\"\"\",male,22,1,0,7.25\r\n"), "");
  EXPECT_NE(fault(header + "0,3,A,male,22,1,0,7.25\n0,9,B,male,22,1,0,7.25\n").find("line 3: passengerClass"),
            std::string::npos);
  EXPECT_NE(fault(header + "0,3,A\n").find("line 2: has 3 fields"), std::string::npos);
  EXPECT_NE(fault("A,B\n").find("column 'A'"), std::string::npos);
  EXPECT_NE(fault(header + "\"open").find("never closed"), std::string::npos);
  EXPECT_NE(fault(""), "");
}

TEST(Conditions, EntityTags) {
  EXPECT_TRUE(bulkhead::etag_matches("\"1\"", etag(1), false));
  EXPECT_TRUE(bulkhead::etag_matches(" \"0\" , \"1\"", etag(1), false));
  EXPECT_TRUE(bulkhead::etag_matches("*", etag(1), false));
  EXPECT_FALSE(bulkhead::etag_matches("W/\"1\"", etag(1), false)) << "RFC 9110 13.1.1: If-Match compares strongly";
  EXPECT_TRUE(bulkhead::etag_matches("W/\"1\"", etag(1), true));
  EXPECT_FALSE(bulkhead::etag_matches("\"11\"", etag(1), true));
}

TEST(Conditions, BodiesAreBounded) {
  EXPECT_NO_THROW(parse_body(std::string(32, '[') + std::string(32, ']')));
  EXPECT_THROW(parse_body(std::string(100, '[') + std::string(100, ']')), bulkhead::Problem);
  EXPECT_THROW(parse_body("{\"a\":\"\xff\"}"), bulkhead::Problem);
  EXPECT_THROW(parse_body(""), bulkhead::Problem);
  EXPECT_NO_THROW(parse_body("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""));
}

TEST(Conditions, TagsMayHoldCommas) {
  EXPECT_TRUE(bulkhead::etag_matches("\"a,b\", \"1\"", etag(1), false));
  EXPECT_FALSE(bulkhead::etag_matches("\"a,\"1\",b\"", etag(1), false));
  EXPECT_FALSE(bulkhead::etag_matches("", etag(1), false));
  EXPECT_FALSE(bulkhead::etag_matches("\"1", etag(1), false));
  EXPECT_TRUE(bulkhead::etag_matches("1, ,\"1\"", etag(1), false)) << "what is no tag is passed over";
  EXPECT_TRUE(bulkhead::etag_matches("*", "", false)) << "what has no tag is there all the same";
  EXPECT_FALSE(bulkhead::etag_matches("\"\", \"1\"", "", true));
}

namespace {

using bulkhead::testing::Call;
using bulkhead::testing::LocalHost;
using bulkhead::testing::LocalSql;

const bulkhead::Json kUnseeded = {{"seed", ""}, {"kpi_interval_s", 0}};
const bulkhead::testing::Headers kJson = {{"content-type", "application/json"}};

// A caller with all scopes.
Call as_writer(Call call) {
  call.scopes = "people:read people:write people:delete";
  return call;
}

// Waits for what `done` sees on another thread.
template <typename Done>
void wait_until(LocalHost& host, Done done) {
  for (int i = 0; i < 5000 && !done(); ++i) {
    host.call({.target = "/"});
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

struct Served {
  LocalSql sql;
  LocalHost host{bh_plugin_v1()};

  explicit Served(const bulkhead::Json& config = kUnseeded) {
    host.offer(BH_SQL_ID, BH_SQL_VERSION, sql.api(), sql.self());
    host.create(config);
    host.start();
    wait_until(host, [this] { return host.health() == BH_READY; });
  }
  bulkhead::testing::Answer call(Call made) { return host.call(as_writer(std::move(made))); }
};

const char* const kBraund =
    R"({"survived": false, "passengerClass": 3, "name": "Mr. Owen Harris Braund", "sex": "male", "age": 22.0,
        "siblingsOrSpousesAboard": 1, "parentsOrChildrenAboard": 0, "fare": 7.25})";

}  // namespace

TEST(Plugin, BadInputIsRefusedBeforeTheDatabaseIsAsked) {
  Served served;
  served.sql.set_down(true);
  EXPECT_EQ(served.call({.target = "/people/not-a-uuid"}).status, 400);
  EXPECT_EQ(served.call({.target = "/people?limit=x"}).status, 400);
  EXPECT_EQ(served.call({.target = "/people", .headers = {{"accept", "text/html"}}}).status, 406);
  EXPECT_EQ(served.call({.method = "POST", .target = "/people", .body = "{}"}).status, 415);
  EXPECT_EQ(served.call({.method = "POST", .target = "/people", .headers = kJson, .body = "{"}).status, 400);
  const auto invalid = served.call({.method = "POST", .target = "/people", .headers = kJson, .body = "{}"});
  EXPECT_EQ(invalid.status, 422);
  EXPECT_EQ(invalid.json()["errors"].size(), 6u);
  EXPECT_EQ(served.call({.target = "/people/" + passenger_uuid("1")}).status, 503) << "down";
  EXPECT_EQ(served
                .call({.method = "PATCH",
                       .target = "/people/" + passenger_uuid("1"),
                       .headers = {{"content-type", "text/plain"}}})
                .header("accept-patch")
                .find("application/merge-patch+json"),
            0u);
}

TEST(Plugin, ARecordsLife) {
  Served served;
  const auto made = served.call({.method = "POST", .target = "/people", .headers = kJson, .body = kBraund});
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string at = made.header("location");
  EXPECT_EQ(served.call({.target = at}).json()["name"], "Mr. Owen Harris Braund");
  EXPECT_EQ(served.call({.target = "/people"}).json().size(), 1u);
  const auto patched = served.call({.method = "PATCH",
                                    .target = at,
                                    .headers = {{"content-type", "application/merge-patch+json"}},
                                    .body = R"({"age": 23})"});
  EXPECT_EQ(patched.status, 200) << patched.body;
  EXPECT_EQ(served.call({.target = at, .headers = {{"if-none-match", patched.header("etag")}}}).status, 304);
  EXPECT_EQ(served.call({.method = "DELETE", .target = at}).status, 204);
  EXPECT_EQ(served.call({.target = at}).status, 404);
}

// What a second implementation of a host would get wrong.
TEST(Plugin, IsServedAsByTheHost) {
  Served served;
  EXPECT_EQ(served.host.call({.target = "/people"}).status, 401) << "scopes are checked";
  EXPECT_EQ(served.host.call({.target = "/people", .scopes = "other"}).status, 403);
  EXPECT_EQ(served.call({.method = "HEAD", .target = "/people"}).status, 200);
  EXPECT_EQ(served.call({.method = "HEAD", .target = "/people"}).body, "");
  EXPECT_EQ(served.call({.method = "TRACE", .target = "/people"}).status, 405);
  EXPECT_EQ(served.call({.target = "/x/../people"}).status, 200) << "dot segments are resolved";
  EXPECT_EQ(served.call({.target = "/nowhere"}).header("content-type"), "application/problem+json");
  EXPECT_EQ(served.call({.method = "POST", .target = "/people", .headers = kJson, .body = std::string(2'000'000, ' ')})
                .status,
            413);
}

TEST(Plugin, NeedsItsServiceAndItsSeed) {
  LocalSql sql;
  LocalHost host(bh_plugin_v1());
  EXPECT_THROW(host.create(kUnseeded), std::runtime_error) << "nobody offers bh.sql";
  LocalHost other(bh_plugin_v1());
  other.offer(BH_SQL_ID, BH_SQL_VERSION, sql.api(), sql.self());
  EXPECT_THROW(other.create({{"seed", "/nowhere.csv"}, {"kpi_interval_s", 0}}), std::runtime_error);
  EXPECT_THROW(other.create({{"sed", ""}}), std::runtime_error) << "the schema is checked";
}
