#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "bulkhead/text/json_string.hpp"
#include "bulkhead/text/redact.hpp"
#include "filter.hpp"
#include "line.hpp"

using namespace accesslog;

TEST(Filter, Statuses) {
  int from = 0, to = 0;
  const auto is = [&](std::string_view text, int first, int last) {
    return parse_statuses(text, &from, &to) && from == first && to == last;
  };
  EXPECT_TRUE(is("", 0, 599));
  EXPECT_TRUE(is("404", 404, 404));
  EXPECT_TRUE(is("5xx", 500, 599));
  EXPECT_TRUE(is("400-499", 400, 499));
  for (const char* wrong : {"4", "4x", "6xx", "0xx", "xx", "404-", "-404", "499-400", "4000", "abc", "404 "})
    EXPECT_FALSE(parse_statuses(wrong, &from, &to)) << wrong;
}

TEST(Filter, TheFirstRuleThatFits) {
  constexpr uint64_t kMs = 1'000'000;
  const std::vector<Rule> rules = {{"*", "", 500, 599, 0, 1},
                                   {"*", "", 0, 599, 500 * kMs, 1},
                                   {"/health/*", "", 0, 599, 0, 0},
                                   {"/people*", "GET", 200, 299, 0, 0.25}};
  EXPECT_EQ(share_of(rules, "/health/live", "GET", 200, kMs), 0);
  EXPECT_EQ(share_of(rules, "/health/live", "GET", 503, kMs), 1);
  EXPECT_EQ(share_of(rules, "/people/{uuid}", "GET", 200, kMs), 0.25);
  EXPECT_EQ(share_of(rules, "/people/{uuid}", "GET", 200, 500 * kMs), 1);
  EXPECT_EQ(share_of(rules, "/people/{uuid}", "PUT", 200, kMs), 1);
  EXPECT_EQ(share_of(rules, "", "GET", 404, kMs), 1) << "no route";
}

TEST(Line, HasTheFields) {
  Entry entry;
  entry.unix_ns = 1'700'000'000'123'456'789;
  entry.service = "titanic-api";
  entry.version = "1.0";
  entry.trace_id = "0af7651916cd43dd8448eb211c80319c";
  entry.span_id = "b7ad6b7169203331";
  entry.request_id = "r";
  entry.method = "GET";
  entry.path = "/people";
  entry.query = "age=1&API_KEY=hunter2&mine=2";
  entry.route = "/people";
  entry.status = 200;
  entry.duration_ns = 1'234'567;
  entry.bytes = 7;
  std::string line;
  append_line(entry, std::vector<std::string>{"Mine"}, &line);
  EXPECT_EQ(
      line,
      R"({"timestamp":"2023-11-14T22:13:20.123Z","level":"info","service":"titanic-api","version":"1.0",)"
      R"("trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","request_id":"r",)"
      R"("http":{"method":"GET","path":"/people","query":"age=1&API_KEY=REDACTED&mine=REDACTED","route":"/people",)"
      R"("status":200,"duration_ms":1.235,"bytes":7},"message":"GET /people"})"
      "\n");
}

TEST(Redact, HoweverItIsWritten) {
  for (const char* query :
       {"token=x", "TOKEN=x", "%74oken=x", "api%5Fkey=x", "token[]=x", "a=1&token=x&b", "sig=x=y"}) {
    std::string shown;
    bulkhead::redact_query(query, {}, &shown);
    EXPECT_EQ(shown.find('x'), std::string::npos) << query;
    EXPECT_NE(shown.find("REDACTED"), std::string::npos) << query;
  }
  std::string shown;
  bulkhead::redact_query("tokens=1&a=%zz&&b", {}, &shown);
  EXPECT_EQ(shown, "tokens=1&a=%zz&&b");
}

TEST(Line, WhateverTheBytesIsOneJsonObject) {
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 24, '\0');
    for (char& c : text) c = static_cast<char>(random() % 4 == 0 ? 0x80 + random() % 128 : random() % 128);
    std::string encoded;
    bulkhead::append_json_string_lossy(text, &encoded);
    EXPECT_EQ(encoded.find('\n'), std::string::npos);
    const auto parsed = nlohmann::json::parse(encoded);  // strict about UTF-8
    const std::string clean = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (clean.find("\xef\xbf\xbd") == std::string::npos) {
      EXPECT_EQ(parsed.get<std::string>(), text);
    }
  }
}
