#include <gtest/gtest.h>

#include <random>

#include "core/http/http1/target.hpp"

using namespace bulkhead::http::http1;

TEST(Target, Forms) {
  Target t;
  ASSERT_TRUE(split_target("GET", "/a/b?c=d", &t));
  EXPECT_EQ(t.path, "/a/b");
  EXPECT_EQ(t.query, "c=d");
  ASSERT_TRUE(split_target("GET", "http://host:80/x?y", &t));
  EXPECT_EQ(t.authority, "host:80");
  EXPECT_EQ(t.path, "/x");
  ASSERT_TRUE(split_target("GET", "http://host", &t));
  EXPECT_EQ(t.path, "/");
  EXPECT_TRUE(split_target("OPTIONS", "*", &t));
  for (const char* bad : {"*", "host:80", "ftp://h/", "/a#b", "", "http:///x", "http://user@host/"})
    EXPECT_FALSE(split_target("GET", bad, &t)) << bad;
}

TEST(Target, PercentEncoding) {
  EXPECT_TRUE(bulkhead::valid_percent("/a%2Fb%c3%a9"));
  for (const char* bad : {"%", "%2", "%zz", "a%00"}) EXPECT_FALSE(bulkhead::valid_percent(bad)) << bad;
  char out[16];
  EXPECT_EQ(std::string(out, bulkhead::percent_decode("a%2Fb+c", out)), "a/b+c");
}

TEST(Target, DotSegments) {
  const std::pair<const char*, const char*> cases[] = {
      {"/a/b/c/./../../g", "/a/g"}, {"/../x", "/x"},      {"/a/..", "/"}, {"/a/.", "/a/"},
      {"/%2e%2E/x", "/x"},          {"/a/%2e/b", "/a/b"}, {"/..", "/"},   {"/a/../../b", "/b"}};
  for (const auto& [in, want] : cases) {
    char out[64];
    EXPECT_TRUE(has_dot_segments(in)) << in;
    EXPECT_EQ(std::string(out, remove_dot_segments(in, out)), want) << in;
  }
  for (const char* plain : {"/", "/a/b", "/...", "/a..b", "/.a", "/a/%2f"})
    EXPECT_FALSE(has_dot_segments(plain)) << plain;
}

// No input climbs above the root or leaves a dot segment.
TEST(Target, PropertyDotSegmentsAreGone) {
  std::mt19937 random(3);
  const char* parts[] = {"/", "a", ".", "..", "%2e", "%2E%2e", "b", "//", "/.."};
  for (int round = 0; round < 5000; ++round) {
    std::string path = "/";
    for (auto n = random() % 12; n > 0; --n) path += parts[random() % 9];
    std::string out(path.size() + 1, '\0');
    out.resize(remove_dot_segments(path, out.data()));
    EXPECT_EQ(out.front(), '/') << path;
    EXPECT_FALSE(has_dot_segments(out)) << path << " became " << out;
  }
}
