#include <gtest/gtest.h>

#include <random>

#include "gcra.hpp"
#include "table.hpp"

using namespace ratelimit;

namespace {
constexpr int64_t kSecond = 1'000'000'000;
}

TEST(Gcra, Burst) {
  const Rate rate{kSecond / 10, 3};
  int64_t tat = 0;
  const int64_t now = 100 * kSecond;
  for (const int64_t left : {2, 1, 0}) {
    const Decision decision = decide(rate, tat, now);
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.remaining, left);
    tat = decision.tat;
  }
  const Decision refused = decide(rate, tat, now);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.wait, kSecond / 10);
  EXPECT_EQ(refused.tat, tat) << "who is refused pays nothing";
  EXPECT_TRUE(decide(rate, tat, now + refused.wait).allowed);
  EXPECT_FALSE(decide(rate, tat, now + refused.wait - 1).allowed);
  EXPECT_EQ(decide(rate, tat, now + 10 * kSecond).remaining, 2) << "back to full";
}

// However requests come, no window lets more through than its share and the burst.
TEST(Gcra, HoldsInTheLongRun) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    const Rate rate{static_cast<int64_t>(random() % 1'000'000 + 1'000), static_cast<int64_t>(random() % 20 + 1)};
    int64_t tat = 0, now = kSecond, first = -1, allowed = 0;
    for (int i = 0; i < 2'000; ++i) {
      now += static_cast<int64_t>(random() % static_cast<uint64_t>(rate.interval));
      const Decision decision = decide(rate, tat, now);
      tat = decision.tat;
      ASSERT_GE(decision.remaining, 0);
      ASSERT_LT(decision.remaining, rate.burst);
      if (!decision.allowed) {
        ASSERT_GT(decision.wait, 0);
        ASSERT_LE(decision.wait, rate.interval);
        continue;
      }
      if (first < 0) first = now;
      ++allowed;
      ASSERT_LE(allowed, (now - first) / rate.interval + rate.burst + 1);
    }
  }
}

// 100 a second, burst 1, asked 10,000 times a second at random: within a hundredth over 30 seconds.
TEST(Gcra, IsExactThoughRequestsComeLate) {
  std::mt19937_64 random(11);
  const Rate rate{kSecond / 100, 1};
  int64_t tat = 0, now = kSecond, allowed = 0;
  while (now < 31 * kSecond) {
    now += static_cast<int64_t>(random() % 200'000);
    const Decision decision = decide(rate, tat, now);
    tat = decision.tat;
    allowed += decision.allowed ? 1 : 0;
  }
  EXPECT_GE(allowed, 2970);
  EXPECT_LE(allowed, 3030);
}

TEST(Gcra, AStateOfAnotherLimitOrClock) {
  const Rate rate{kSecond / 1000, 10};
  EXPECT_LE(decide(rate, int64_t{90'000} * kSecond, kSecond).wait, rate.interval + rate.interval) << "not a day";
}

TEST(Table, IsBounded) {
  Table table(1'024);
  const Rate rate{kSecond, 1};
  const int64_t now = 100 * kSecond;
  EXPECT_TRUE(table.decide("me", rate, now, true).allowed);
  EXPECT_FALSE(table.decide("me", rate, now, true).allowed);
  EXPECT_TRUE(table.decide("you", rate, now, false).allowed);
  EXPECT_TRUE(table.decide("you", rate, now, true).allowed) << "only looked at before";
  int allowed = 0;
  for (int i = 0; i < 100'000; ++i) allowed += table.decide(std::to_string(i), rate, now, true).allowed ? 1 : 0;
  EXPECT_EQ(allowed, 100'000);
  EXPECT_GT(table.displaced(), 90'000u);
}
