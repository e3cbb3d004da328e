#include <gtest/gtest.h>

#include "bulkhead/testing/local_host.hpp"

using bulkhead::testing::LocalHost;

TEST(Hello, GreetsByName) {
  LocalHost host(bh_plugin_v1());
  host.create({{"greeting", "welcome"}});
  host.start();
  EXPECT_EQ(host.call({.target = "/hello/world"}).body, "welcome world");
  EXPECT_EQ(host.call({.method = "POST", .target = "/hello/world"}).status, 405);
}

TEST(Hello, RefusesWhatItsSchemaDoes) {
  LocalHost host(bh_plugin_v1());
  EXPECT_THROW(host.create({{"greting", "welcome"}}), std::runtime_error);
}
