// LocalHost: what a test of a plugin may rely on.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>

#include "bulkhead/plugin.hpp"
#include "bulkhead/testing/local_host.hpp"

using bulkhead::Exchange;
using bulkhead::Request;
using bulkhead::Response;
using bulkhead::Task;
using bulkhead::testing::LocalHost;

namespace {

std::atomic<int> g_ticks{0}, g_completed{0};

class Subject : public bulkhead::Plugin {
 public:
  Subject(bulkhead::Host host, const bulkhead::Json& config)
      : Plugin(host), greeting_(config.at("greeting")), timer_(host.every(60'000, [] { ++g_ticks; })) {
    hook(BH_RESPOND, [](const Request& request) {
      static constexpr bh_pair kField{BH_LIT("x-responded"), BH_LIT("yes")};
      request.edit({.fields = {&kField, 1}});
      return bh_flow{BH_NEXT};
    });
    hook(BH_COMPLETE, [](const Request&) {
      ++g_completed;
      return bh_flow{BH_NEXT};
    });
    get("/subject/greet", &Subject::greet);
    get("/subject/late", &Subject::late, {}, {.timeout_ms = 10'000});
    get("/subject/never", &Subject::never, {}, {.timeout_ms = 10'000});
    get("/subject/slept", &Subject::slept);
    get("/subject/throw", &Subject::throws);
    get("/subject/blocking", &Subject::greet, {}, {.blocking = true});
    post("/subject/echo", &Subject::echo, {}, {.max_body = 10});
  }
  void stop() override {
    if (thread_.joinable()) thread_.join();
    held_ = {};
  }

 private:
  Response greet(const Request&) { return bulkhead::text(200, greeting_); }
  Response throws(const Request&) { throw std::runtime_error("secret"); }
  Response echo(const Request& request) { return bulkhead::text(200, std::string(request.body())); }
  void late(const Request&, Exchange exchange) {
    thread_ = std::thread([exchange = std::move(exchange)] { exchange.reply(bulkhead::text(200, "late")); });
  }
  void never(const Request&, Exchange exchange) { held_ = std::move(exchange); }
  Task<Response> slept(Request /*request*/) {
    co_await bulkhead::sleep_for(host(), 5);
    co_return bulkhead::text(200, "slept");
  }

  const std::string greeting_;
  bulkhead::Timer timer_;
  std::thread thread_;
  Exchange held_;
};

constexpr std::string_view kSchema = R"({"type": "object", "additionalProperties": false,
    "properties": {"greeting": {"type": "string", "default": "hello"}}})";

struct Served : LocalHost {
  Served() : LocalHost(bh_plugin_v1()) {
    create();
    start();
  }
};

}  // namespace

BULKHEAD_PLUGIN(Subject, "subject", "1.0.0", "Under test.", .schema = kSchema)

TEST(LocalHost, FillsDefaultsAndChecksTheSchema) {
  Served host;
  const auto answer = host.call({.target = "/subject/greet"});
  EXPECT_EQ(answer.body, "hello");
  EXPECT_EQ(answer.header("x-responded"), "yes");
  EXPECT_THROW(LocalHost(bh_plugin_v1()).create({{"greting", "x"}}), std::runtime_error);
}

TEST(LocalHost, AnswersFromAnyThread) {
  Served host;
  EXPECT_EQ(host.call({.target = "/subject/late"}).body, "late");
  EXPECT_EQ(host.call({.target = "/subject/slept"}).body, "slept");
  EXPECT_EQ(host.call({.target = "/subject/blocking"}).body, "hello");
}

TEST(LocalHost, MovesTheClock) {
  Served host;
  g_ticks = 0;
  host.advance(59'000);
  EXPECT_EQ(g_ticks, 0);
  host.advance(2'000);
  EXPECT_EQ(g_ticks, 1);
  const auto sent = host.begin({.target = "/subject/never"});
  host.advance(9'000);
  EXPECT_EQ(host.finish(sent, std::chrono::milliseconds(1)).status, 0) << "it still waits";
  host.advance(2'000);
  EXPECT_EQ(host.finish(sent).status, 504);
}

TEST(LocalHost, CallersLeave) {
  Served host;
  g_completed = 0;
  const auto sent = host.begin({.target = "/subject/never"});
  host.disconnect(sent);
  EXPECT_EQ(host.finish(sent).status, 499);
  EXPECT_EQ(g_completed, 1);
}

TEST(LocalHost, DefectsAndLimits) {
  Served host;
  const auto broken = host.call({.target = "/subject/throw"});
  EXPECT_EQ(broken.status, 500);
  EXPECT_EQ(broken.body.find("secret"), std::string::npos);
  const auto logs = host.logs();
  EXPECT_TRUE(std::any_of(logs.begin(), logs.end(), [](const auto& entry) { return entry.message == "secret"; }));
  EXPECT_EQ(host.call({.method = "POST", .target = "/subject/echo", .body = "0123456789"}).body, "0123456789");
  EXPECT_EQ(host.call({.method = "POST", .target = "/subject/echo", .body = "0123456789a"}).status, 413);
  EXPECT_EQ(host.call({.target = "/a b"}).status, 400);
  EXPECT_EQ(host.call({.method = "DELETE", .target = "/subject/greet"}).header("allow"), "GET, HEAD, OPTIONS");
}

TEST(LocalHost, AnotherPluginBesideIt) {
  LocalHost host(bh_plugin_v1());
  host.add("health", BUILD_DIR "/lib/bulkhead/health.so", {{"service", "x"}});
  host.add_peer("database");
  host.create();
  host.start();
  EXPECT_EQ(host.call({.target = "/health/ready"}).status, 200);
  host.set_health("database", BH_FAILED, "down");
  EXPECT_EQ(host.call({.target = "/health/ready"}).json()["plugins"]["database"]["state"], "failed");
}
