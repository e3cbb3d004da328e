#include <gtest/gtest.h>

#include "bulkhead/extensions/introspect.h"
#include "bulkhead/testing.hpp"

namespace {

int32_t g_state = BH_READY;
int32_t g_draining = 0;

const bh_introspect kIntrospect = {sizeof(bh_introspect),
                                   0,
                                   [](const bh_host*) -> uint64_t { return 1; },
                                   [](const bh_host*, void (*visit)(void*, const bh_plugin_info*), void* arg) {
                                     bh_plugin_info info{};
                                     info.size = sizeof info;
                                     info.health = g_state;
                                     info.instance = BH_LIT("database");
                                     info.why = BH_LIT("down");
                                     visit(arg, &info);
                                   },
                                   [](const bh_host*, void (*)(void*, const bh_route_info*), void*) {},
                                   [](const bh_host*) -> int32_t { return g_draining; }};

}  // namespace

TEST(Health, FollowsThePlugins) {
  bulkhead::testing::FakeHost host(bh_plugin_v1());
  host.provide_extension(BH_INTROSPECT_ID, &kIntrospect);
  host.create({{"service", "titanic-api"}});
  host.start();
  EXPECT_EQ(host.call({.target = "/health/live"}).body, R"({"status":"alive","service":"titanic-api"})");
  for (const auto& [state, status, text] :
       {std::tuple(BH_READY, 200, "ready"), std::tuple(BH_DEGRADED, 200, "degraded"),
        std::tuple(BH_STARTING, 503, "unavailable"), std::tuple(BH_FAILED, 503, "unavailable")}) {
    g_state = state;
    const auto answer = host.call({.target = "/health/ready"});
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.json()["status"], text);
    EXPECT_EQ(answer.json()["plugins"]["database"].size(), 1u) << "strangers are told no reasons";
  }
  g_state = BH_READY;
  g_draining = 1;
  const auto answer = host.call({.target = "/health/ready"});
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.json()["status"], "draining");
  g_draining = 0;
}

TEST(Health, NeedsTheHostToSayWhatRuns) {
  bulkhead::testing::FakeHost host(bh_plugin_v1());
  EXPECT_THROW(host.create({{"service", "x"}}), std::runtime_error);
}
