#include <gtest/gtest.h>

#include <thread>

#include "bulkhead/testing/local_host.hpp"
#include "bulkhead/testing/local_sql.hpp"

TEST(Visits, CountsOnADatabaseInMemory) {
  bulkhead::testing::LocalSql sql;
  bulkhead::testing::LocalHost host(bh_plugin_v1());
  host.offer(BH_SQL_ID, BH_SQL_VERSION, sql.api(), sql.self());
  host.create();
  host.start();
  while (host.health() == BH_STARTING) std::this_thread::yield();  // the table is being made
  for (const int visits : {1, 2}) {
    const auto answer = host.call({.method = "POST", .target = "/visits/home"});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.json()["visits"], visits);
  }
  sql.set_down(true);
  EXPECT_EQ(host.call({.method = "POST", .target = "/visits/home"}).status, 503);
}
