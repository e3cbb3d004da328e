#include "bulkhead/net/resolve.hpp"

#include <gtest/gtest.h>

namespace resolve = bulkhead::resolve;
using namespace std::chrono_literals;

namespace {

// A system that answers when it is told to. What its threads touch outlives the test.
struct System {
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool answers = false;
    int asked = 0;
  };
  std::shared_ptr<State> state = std::make_shared<State>();

  resolve::Resolver resolver(resolve::Clock::duration shared_for) const {
    return {[state = state](const std::string& name) -> resolve::Answer {
              std::unique_lock lock(state->mutex);
              ++state->asked;
              state->changed.notify_all();
              state->changed.wait(lock, [&] { return state->answers; });
              return {{name + "'s"}, ""};
            },
            shared_for};
  }
  void answer() const {
    const std::lock_guard lock(state->mutex);
    state->answers = true;
    state->changed.notify_all();
  }
  bool asked(int times) const {
    std::unique_lock lock(state->mutex);
    return state->changed.wait_for(lock, 30s, [&] { return state->asked == times; });
  }
  System() = default;
  System(const System&) = delete;
  System& operator=(const System&) = delete;
  ~System() { answer(); }
};

resolve::Clock::time_point in(resolve::Clock::duration time) { return resolve::Clock::now() + time; }

}  // namespace

TEST(Resolve, SharesWhatIsUnderWay) {
  const System system;
  resolve::Resolver resolver = system.resolver(1h);
  const auto first = resolver.look_up("a"), second = resolver.look_up("a"), other = resolver.look_up("b");
  EXPECT_EQ(first, second);
  EXPECT_NE(first, other);
  EXPECT_TRUE(system.asked(2));
  system.answer();
  EXPECT_EQ(first->await(in(30s), {}).addresses, std::vector<std::string>{"a's"});
  EXPECT_EQ(other->await(in(30s), {}).addresses, std::vector<std::string>{"b's"});
  EXPECT_NE(resolver.look_up("a"), first) << "an answer is not kept";
  EXPECT_TRUE(system.asked(3));
}

TEST(Resolve, DoesNotJoinWhatIsUnderWayForTooLong) {
  const System system;
  resolve::Resolver resolver = system.resolver(0s);
  const auto first = resolver.look_up("a");
  EXPECT_TRUE(system.asked(1));
  EXPECT_NE(resolver.look_up("a"), first);
  EXPECT_TRUE(system.asked(2));
}

TEST(Resolve, NobodyWaitsForLongerThanTheyWant) {
  const System system;
  const auto lookup = system.resolver(1h).look_up("a");
  const resolve::Answer late = lookup->await(in(1ms), {});
  EXPECT_TRUE(late.addresses.empty());
  EXPECT_EQ(late.why, "no name server answers");

  std::stop_source stop;
  std::thread stopper([&] {
    std::this_thread::sleep_for(10ms);
    stop.request_stop();
  });
  const resolve::Answer stopped = lookup->await(in(1h), stop.get_token());
  stopper.join();
  EXPECT_TRUE(stopped.addresses.empty());
  EXPECT_NE(stopped.why, late.why);

  system.answer();
  EXPECT_FALSE(lookup->await(in(30s), {}).addresses.empty());
  EXPECT_FALSE(lookup->await({}, stop.get_token()).addresses.empty()) << "what is there is given to everybody";
}

TEST(Resolve, AddressesAreNotLookedUp) {
  const System system;
  for (const char* address : {"192.0.2.1", "::1", "2001:db8::7"}) {
    EXPECT_TRUE(resolve::is_address(address)) << address;
    EXPECT_EQ(system.resolver(1h).look_up(address)->await({}, {}).addresses, std::vector<std::string>{address});
  }
  for (const char* name : {"db", "db.example", "localhost", "", "192.0.2.1.example"})
    EXPECT_FALSE(resolve::is_address(name)) << name;
  EXPECT_TRUE(system.asked(0));
}

TEST(Resolve, AsksTheSystem) {
  const resolve::Answer local = resolve::look_up("localhost")->await(in(60s), {});
  EXPECT_TRUE(local.why.empty()) << local.why;
  for (const std::string& address : local.addresses) EXPECT_TRUE(address == "127.0.0.1" || address == "::1") << address;
  EXPECT_FALSE(local.addresses.empty());
}
