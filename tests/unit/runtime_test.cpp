#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <latch>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/runtime/executor.hpp"
#include "core/runtime/timers.hpp"
#include "core/telemetry/log.hpp"

using namespace bulkhead;
using namespace std::chrono_literals;

TEST(Executor, RefusesWhenFullAndRunsWhatIsQueuedOnStop) {
  runtime::Executor executor(1, 4);
  std::latch started(1), go(1);
  struct Shared {
    std::latch *started, *go;
    std::atomic<int> ran{0};
  } shared{&started, &go};
  const runtime::Task blocker{[](const runtime::Task& t) {
                                auto& s = *static_cast<Shared*>(t.a);
                                s.started->count_down();
                                s.go->wait();
                              },
                              &shared};
  const runtime::Task counter{[](const runtime::Task& t) { ++static_cast<Shared*>(t.a)->ran; }, &shared};
  ASSERT_TRUE(executor.submit(blocker));
  started.wait();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(executor.submit(counter));
  EXPECT_FALSE(executor.submit(counter));
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(executor.submit(counter, true)) << "forced work passes the bound";
  EXPECT_EQ(executor.figures().queued, 44u);
  go.count_down();
  executor.stop();
  EXPECT_EQ(executor.figures().taken, 45u);
  EXPECT_GT(executor.figures().waited_ns, 0u);
  EXPECT_EQ(shared.ran, 44);
  EXPECT_FALSE(executor.submit(counter));
}

// Of the host itself, and of a plugin.
class Timers : public testing::TestWithParam<bool> {
 protected:
  uint64_t start(uint64_t delay_ms, uint64_t period_ms, std::function<void()> run) {
    return timers_.start(delay_ms, period_ms, std::move(run), GetParam() ? this : nullptr);
  }

  runtime::Executor executor_{2, 16};
  runtime::Timers timers_{executor_};
};
INSTANTIATE_TEST_SUITE_P(Owners, Timers, testing::Bool());

TEST_P(Timers, OnceAndPeriodic) {
  std::atomic<int> once{0}, often{0};
  start(1, 0, [&] { ++once; });
  const uint64_t id = start(1, 1, [&] { ++often; });
  for (int i = 0; i < 5000 && often < 5; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_GE(often, 5);
  EXPECT_EQ(once, 1);
  EXPECT_TRUE(timers_.cancel(id));
  const int after = often;
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(often, after);
  EXPECT_FALSE(timers_.cancel(id));
}

TEST_P(Timers, CancelWaitsForTheCallback) {
  std::latch inside(1);
  std::atomic<bool> finished{false};
  const uint64_t id = start(0, 0, [&] {
    inside.count_down();
    std::this_thread::sleep_for(50ms);
    finished = true;
  });
  inside.wait();
  timers_.cancel(id);
  EXPECT_TRUE(finished);
}

TEST_P(Timers, CancelFromInsideReturns) {
  std::atomic<uint64_t> id{0};
  std::atomic<int> ran{0};
  id = start(20, 1, [&] {
    ++ran;
    timers_.cancel(id);
  });
  for (int i = 0; i < 5000 && ran == 0; ++i) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(ran, 1);
}

TEST_P(Timers, AHostThatStopsLeavesNoCallbackBehind) {
  std::atomic<int> ran{0};
  for (int i = 0; i < 50; ++i) start(0, 1, [&] { ++ran; });
  for (int i = 0; i < 5000 && ran < 100; ++i) std::this_thread::sleep_for(1ms);
  timers_.stop();
  const int after = ran;
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(ran, after);
}

TEST(TimersOfPlugins, OneThatHangsDelaysOnlyItsOwn) {
  runtime::Executor executor(2, 16);
  runtime::Timers timers(executor);
  const int slow = 0, quick = 0;
  std::latch inside(1), release(1);
  std::atomic<bool> own{false}, other{false};
  timers.start(
      0, 0, [&] { inside.count_down(), release.wait(); }, &slow);
  inside.wait();
  timers.start(
      0, 0, [&] { own = true; }, &slow);
  timers.start(
      0, 0, [&] { other = true; }, &quick);
  for (int i = 0; i < 5000 && !other; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(other);
  EXPECT_FALSE(own);
  release.count_down();
  for (int i = 0; i < 5000 && !own; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(own);
}

TEST(TimersOfPlugins, NeverTwoAtOnce) {
  runtime::Executor executor(4, 16);
  runtime::Timers timers(executor);
  const int owner = 0;
  std::atomic<int> inside{0}, most{0}, ran{0};
  for (int i = 0; i < 8; ++i)
    timers.start(
        0, 1,
        [&] {
          const int now = ++inside;
          if (now > most) most = now;
          std::this_thread::sleep_for(1ms);
          --inside;
          ++ran;
        },
        &owner);
  for (int i = 0; i < 5000 && ran < 40; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_GE(ran, 40);
  EXPECT_EQ(most, 1);
}

TEST(TimersOfPlugins, WhatWaitsForItsTurnCanBeCancelled) {
  runtime::Executor executor(1, 16);
  runtime::Timers timers(executor);
  const int owner = 0;
  std::latch inside(1), release(1);
  std::atomic<bool> ran{false};
  timers.start(
      0, 0, [&] { inside.count_down(), release.wait(); }, &owner);
  inside.wait();
  const uint64_t id = timers.start(
      0, 0, [&] { ran = true; }, &owner);
  std::this_thread::sleep_for(20ms);
  EXPECT_TRUE(timers.cancel(id));
  release.count_down();
  timers.settle();
  EXPECT_FALSE(ran);
}

TEST(Log, LinesAreJsonWhateverTheBytes) {
  const std::string path = testing::TempDir() + "/log-" + std::to_string(::getpid());
  {
    telemetry::LogSettings settings;
    settings.file = path;
    settings.service = "test";
    telemetry::Log log(settings);
    log.write(telemetry::Level::kInfo, "quote \" newline \n bad \xff", {{"key", "value\t"}});
    log.write(telemetry::Level::kDebug, "not enabled");
    log.set_level(telemetry::Level::kDebug);
    log.write(telemetry::Level::kDebug, "enabled");
    EXPECT_TRUE(log.reopen());
  }
  std::ifstream in(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["key"], "value\t");
  EXPECT_EQ(lines[0]["service"], "test");
  EXPECT_EQ(lines[1]["message"], "enabled");
  std::remove(path.c_str());
}
