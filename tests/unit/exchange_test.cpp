#include <gtest/gtest.h>

#include <random>

#include "core/exchange/arena.hpp"
#include "core/exchange/deadline.hpp"
#include "core/exchange/slab.hpp"
#include "core/exchange/target.hpp"

using namespace bulkhead::exchange;

TEST(Arena, KeepsItsFirstBlock) {
  Arena arena;
  char* first = arena.allocate(16);
  for (int i = 0; i < 100; ++i) arena.allocate(500);
  arena.allocate(Arena::kBlock * 4);
  arena.reset();
  EXPECT_EQ(arena.allocate(16), first);
}

TEST(Arena, LargeFirstAllocation) {
  Arena arena;
  char* large = arena.allocate(Arena::kBlock * 2);
  std::fill(large, large + Arena::kBlock * 2, 'x');
  arena.reset();
  char* small = arena.allocate(Arena::kBlock);
  std::fill(small, small + Arena::kBlock, 'y');
  EXPECT_EQ(arena.copy("").size(), 0u);
}

TEST(Slab, LastReferenceGivesItBack) {
  SlabPool pool;
  SlabRef a = pool.take();
  char* data = a->data();
  SlabRef b = a;
  pool.give(std::move(a));
  EXPECT_EQ(b->data(), data);
  pool.give(std::move(b));
  EXPECT_EQ(pool.take()->data(), data);
}

namespace {
struct Entry final : DeadlineEntry {
  std::vector<int>* fired;
  int id;
  Entry(std::vector<int>* list, int number) : fired(list), id(number) {}
  void expired() override { fired->push_back(id); }
};
}  // namespace

TEST(Deadlines, ExpireInOrderAndOnce) {
  std::vector<int> fired;
  DeadlineQueue queue;
  Entry a(&fired, 1), b(&fired, 2), c(&fired, 3);
  queue.arm(a, 0, 10);
  queue.arm(b, 0, 5);
  queue.arm(c, 1'000'000, 10);
  queue.expire(5'000'000);
  EXPECT_EQ(fired, std::vector<int>{2});
  queue.disarm(a);
  EXPECT_EQ(queue.next_ns(), 11'000'000u);
  queue.expire(20'000'000);
  EXPECT_EQ(fired, (std::vector<int>{2, 3}));
  EXPECT_EQ(queue.next_ns(), DeadlineQueue::kNever);
  EXPECT_FALSE(c.armed());
}

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
