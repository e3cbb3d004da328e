#include <gtest/gtest.h>

#include "bulkhead/testing/local_host.hpp"

TEST(Health, FollowsThePlugins) {
  bulkhead::testing::LocalHost host(bh_plugin_v1());
  host.add_peer("database");
  host.create({{"service", "titanic-api"}});
  host.start();
  EXPECT_EQ(host.call({.target = "/health/live"}).body, R"({"status":"alive","service":"titanic-api"})");
  for (const auto& [state, status, text] :
       {std::tuple(BH_READY, 200, "ready"), std::tuple(BH_DEGRADED, 200, "degraded"),
        std::tuple(BH_STARTING, 503, "unavailable"), std::tuple(BH_FAILED, 503, "unavailable")}) {
    host.set_health("database", state, "down");
    const auto answer = host.call({.target = "/health/ready"});
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.json()["status"], text);
    EXPECT_EQ(answer.json()["plugins"]["database"].size(), 1u) << "strangers are told no reasons";
  }
  host.set_health("database", BH_READY, "");
  host.drain();
  const auto answer = host.call({.target = "/health/ready"});
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.json()["status"], "draining");
}
