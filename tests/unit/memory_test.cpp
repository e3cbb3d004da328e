// The memory and the deadlines of an exchange.
#include <gtest/gtest.h>

#include "core/runtime/arena.hpp"
#include "core/runtime/deadline.hpp"
#include "core/runtime/slab.hpp"

using namespace bulkhead::runtime;

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
