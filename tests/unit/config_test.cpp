#include <gtest/gtest.h>

#include <cstdlib>

#include "bulkhead/text/nearest.hpp"
#include "core/config/document.hpp"
#include "core/config/model.hpp"
#include "core/config/schema.hpp"
#include "core/config/units.hpp"

using namespace bulkhead::config;

namespace {

std::string first_error(const std::string& text) {
  Document document("test.yaml", text);
  Config config;
  const auto issues = read_config(document, &config);
  return issues.empty() ? "" : document.describe(issues.front());
}

}  // namespace

TEST(Units, Sizes) {
  EXPECT_EQ(parse_size("4096"), 4096u);
  EXPECT_EQ(parse_size("32KiB"), 32768u);
  EXPECT_EQ(parse_size("1GiB"), 1073741824u);
  for (const char* bad : {"", "KiB", "1kb", "-1", "1.5MiB", "99999999999GiB", "1 MiB"})
    EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Units, Durations) {
  EXPECT_EQ(parse_duration_ms("250ms"), 250u);
  EXPECT_EQ(parse_duration_ms("5s"), 5000u);
  EXPECT_EQ(parse_duration_ms("2h"), 7200000u);
  for (const char* bad : {"", "5", "5 s", "s", "1d", "9999999h"}) EXPECT_FALSE(parse_duration_ms(bad)) << bad;
}

TEST(Nearest, FindsWhatWasMeant) {
  const std::vector<std::string> names = {"listen", "admin", "timeouts"};
  EXPECT_EQ(bulkhead::nearest("lisen", names), "listen");
  EXPECT_EQ(bulkhead::nearest("LISTEN", names), "listen");
  EXPECT_EQ(bulkhead::nearest("xyzzy", names), "");
}

TEST(Document, ScalarsTakeTheirType) {
  setenv("BH_TEST_PORT", "5000", 1);
  const Document document("t",
                          "a: 1\nb: \"1\"\nc: true\nd: 1.5\ne: ~\nf: text\ng: ${BH_TEST_PORT}\nh: "
                          "\"${BH_TEST_PORT}\"\ni: \"${BH_TEST_ABSENT:-x y}\"\nj: \"$${literal}\"\n");
  ASSERT_TRUE(document.issues().empty());
  EXPECT_EQ(document.value.dump(),
            R"({"a":1,"b":"1","c":true,"d":1.5,"e":null,"f":"text","g":5000,"h":"5000","i":"x y","j":"${literal}"})");
}

TEST(Document, NamesLineColumnAndPointer) {
  EXPECT_EQ(first_error("plugins: []\nserver:\n  lisen: x\n"),
            "test.yaml:3:3: /server/lisen: unknown key 'lisen', did you mean 'listen'?");
  EXPECT_EQ(first_error("plugins: []\nplugins: []\n"),
            "test.yaml:2:1: /plugins: the key 'plugins' is given twice; keep one");
  EXPECT_NE(first_error("plugins: [\n").find("test.yaml:"), std::string::npos);
  EXPECT_NE(first_error("plugins:\n  - id: ${BH_TEST_ABSENT}\n")
                .find("/plugins/0/id: the environment variable BH_TEST_ABSENT is not set"),
            std::string::npos);
  EXPECT_NE(first_error("plugins:\n  - id: \"${BH TEST}\"\n").find("is not ${NAME}"), std::string::npos);
}

TEST(Config, WhatNoFileShouldHold) {
  for (const char* text : {"&a [*a]", "&a { b: *a }",
                           "a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                           "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"}) {
    Document document("t", text);
    ASSERT_EQ(document.issues().size(), 1u) << text;
    EXPECT_NE(document.issues()[0].message.find("nested too deeply"), std::string::npos);
  }
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) laughs += (k == 0 ? "*a" : ", *a") + std::to_string(i - 1);
    laughs += "]\n";
  }
  EXPECT_EQ(Document("t", laughs).issues().size(), 1u);
  EXPECT_NE(Document("t", std::string("\0\0\0a", 4)).issues().at(0).message.find("NUL"), std::string::npos);
}

TEST(Config, Defaults) {
  Document document("t", "plugins: []\n");
  Config config;
  ASSERT_TRUE(read_config(document, &config).empty());
  ASSERT_EQ(config.listen.size(), 1u);
  EXPECT_EQ(config.listen[0].address, "127.0.0.1:5000");
  EXPECT_FALSE(config.admin);
  EXPECT_TRUE(config.enforce_scopes);
  EXPECT_EQ(config.http.limits.header, 32u * 1024);
  EXPECT_EQ(config.http.timeouts.drain, 20000u);
  EXPECT_EQ(config.executor_threads, 16u);
}

TEST(Config, RefusesWithAHint) {
  EXPECT_NE(first_error("plugins: []\nserver: {limits: {body: 1MB}}\n")
                .find("/server/limits/body: 1MB is not a size; write 4096, 32KiB"),
            std::string::npos);
  EXPECT_NE(first_error("plugins: []\nserver: {timeouts: {idle: 60}}\n").find("/server/timeouts/idle"),
            std::string::npos);
  EXPECT_NE(first_error("plugins: []\nserver: {scopes: maybe}\n").find("expected one of \"enforce\" \"ignore\""),
            std::string::npos);
  EXPECT_NE(first_error("plugins: []\nlog: {level: loud}\n").find("'loud' is not trace, debug, info, warn or error"),
            std::string::npos);
  EXPECT_NE(first_error("plugins:\n  - id: a\n  - id: a\n").find("/plugins/1/id: the plugin 'a' is listed twice"),
            std::string::npos);
  EXPECT_NE(first_error("server: {}\n").find("plugins"), std::string::npos);
  EXPECT_NE(first_error("[]").find("expected object"), std::string::npos);
  EXPECT_EQ(first_error("plugins: []\nlog: {level: WARNING}\n"), "") << "the original deployment's spelling";
}

TEST(Schema, FillsDefaultsAtEveryDepth) {
  const Json schema = Json::parse(
      R"({"type":"object","properties":{"a":{"type":"object","default":{},"properties":{"b":{"type":"integer","default":7}}},
    "list":{"type":"array","items":{"type":"object","properties":{"c":{"default":"x"}}}}}})");
  Json value = Json::parse(R"({"list":[{},{"c":"y"}]})");
  EXPECT_TRUE(check_schema(schema, value).empty());
  EXPECT_EQ(value.dump(), R"({"a":{"b":7},"list":[{"c":"x"},{"c":"y"}]})");
}

// Random trees of keys and values: reading them never throws and always says where.
TEST(Config, PropertyAnyYamlIsAnswered) {
  std::srand(11);
  const char* words[] = {"plugins", "server", "listen", "id", "config", "1",  "true", "\"x\"", "[", "]",  "{", "}",
                         ":",       "-",      "\n",     "  ", ",",      "&a", "*a",   "${X}",  "~", "\t", "|", "\xff"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = std::rand() % 20; i >= 0; --i)
      text +=
          std::string(words[static_cast<size_t>(std::rand()) % std::size(words)]) + (std::rand() % 2 != 0 ? " " : "");
    Document document("f.yaml", text);
    Config config;
    for (const Issue& issue : read_config(document, &config))
      EXPECT_EQ(document.describe(issue).rfind("f.yaml", 0), 0u);
  }
}

TEST(Schema, ReferencesThatLeadNowhereOrInCircles) {
  const Json circle = Json::parse(R"({"type": "object", "properties": {"a": {"$ref": "#/definitions/a"}},
    "definitions": {"a": {"type": "object", "default": {}, "properties": {"a": {"$ref": "#/definitions/a"}}}}})");
  Json value = Json::object();
  EXPECT_NO_THROW(check_schema(circle, value));
  for (const char* reference : {"other.json", "#name", "#/absent", "#/a~2"}) {
    const Json schema = {{"type", "object"}, {"properties", {{"a", {{"$ref", reference}}}}}};
    Json some = {{"a", 1}};
    EXPECT_NO_THROW(check_schema(schema, some)) << reference;
  }
}
