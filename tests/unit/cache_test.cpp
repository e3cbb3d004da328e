#include <gtest/gtest.h>

#include <thread>

#include "answer.hpp"
#include "bulkhead/net/redis_url.hpp"
#include "bulkhead/plugin.hpp"
#include "entry.hpp"
#include "message.hpp"
#include "responses.hpp"
#include "tag_clock.hpp"

using namespace cache;

namespace {

Draft draft(const std::string& key, size_t size, std::vector<uint32_t> slots = {1}, uint64_t began = 100,
            uint64_t expires = UINT64_MAX, bool validator_only = false) {
  return {key,
          "\"1\"",
          std::string(size, 'x'),
          {{"etag", "\"1\""}, {"content-type", "text/plain"}},
          std::move(slots),
          began,
          expires,
          began,
          0,
          0,
          validator_only};
}

template <typename... Args>
EntryRef entry(Args... args) {
  return Entry::make(draft(args...));
}

TicketRef ticket() { return TicketRef(new Ticket); }

}  // namespace

TEST(TagClock, HoldsUntilATagChanges) {
  auto clock = std::make_unique<TagClock>();
  const std::vector<uint32_t> slots = {3, 7};
  EXPECT_TRUE(clock->holds(slots, 100));
  clock->changed(7, 99);
  EXPECT_TRUE(clock->holds(slots, 100));
  clock->changed(7, 100);
  EXPECT_FALSE(clock->holds(slots, 100)) << "at the same moment is not after";
  EXPECT_TRUE(clock->holds(slots, 101));
  clock->changed(7, 50);
  EXPECT_FALSE(clock->holds(slots, 100)) << "never goes back";
  EXPECT_FALSE(clock->holds(slots, 149, 50)) << "a reader that lags may not have seen it";
  EXPECT_TRUE(clock->holds(slots, 151, 50));
  clock->all_changed(200);
  EXPECT_FALSE(clock->holds({}, 200));
  EXPECT_TRUE(clock->holds(slots, 201));
}

TEST(TagClock, SlotsAreTheSameOnEveryHost) {
  EXPECT_EQ(TagClock::slot(""), 0x811cu ^ 0x9dc5u);
  EXPECT_EQ(TagClock::slot("people"), TagClock::slot("people"));
  EXPECT_NE(TagClock::slot("people"), TagClock::slot("people/1"));
}

TEST(Responses, FindsWhatHolds) {
  auto clock = std::make_unique<TagClock>();
  Responses store(*clock, 1 << 20);
  store.put(entry("a", 10, std::vector<uint32_t>{1}, 100, 1000));
  EXPECT_TRUE(store.find("a", "", 999));
  EXPECT_FALSE(store.find("b", "", 999));
  EXPECT_FALSE(store.find("a", "", 1000)) << "its time is over";
  store.put(entry("a", 10));
  clock->changed(1, 100);
  EXPECT_FALSE(store.find("a", "", 101));
  EXPECT_EQ(store.figures().entries, 0u) << "what does not hold goes";
  EXPECT_EQ(store.figures().bytes, 0u);
}

TEST(Responses, AValidatorAnswersWhoHasTheSame) {
  auto clock = std::make_unique<TagClock>();
  Responses store(*clock, 1 << 20);
  store.put(entry("a", 0, std::vector<uint32_t>{1}, 100, UINT64_MAX, true));
  EXPECT_TRUE(store.find("a", "\"1\"", 0));
  EXPECT_TRUE(store.find("a", "*", 0));
  EXPECT_FALSE(store.find("a", "\"2\"", 0));
  EXPECT_FALSE(store.find("a", "", 0));
}

TEST(Responses, KeepsItsBoundAndWhatIsUsed) {
  auto clock = std::make_unique<TagClock>();
  Responses store(*clock, 1 << 20);
  store.put(entry("hot", 1000));
  for (int i = 0; i < 3000; ++i) {
    store.put(entry("k" + std::to_string(i), 1000));
    ASSERT_TRUE(store.find("hot", "", 0)) << i;
    ASSERT_LE(store.figures().bytes, size_t{1} << 20);
  }
  EXPECT_GT(store.figures().entries, 300u);
  EXPECT_GT(store.figures().evictions, 2000u);
  store.put(entry("large", 1 << 17));
  EXPECT_FALSE(store.find("large", "", 0)) << "more than a shard's share";
  for (int i = 0; i < 100; ++i) store.put(entry("same", 1000));
  EXPECT_TRUE(store.find("same", "", 0));
}

TEST(Responses, OneLeadsTheOthersWait) {
  auto clock = std::make_unique<TagClock>();
  Responses store(*clock, 1 << 20);
  const TicketRef first = ticket(), second = ticket(), third = ticket(), other = ticket();
  EXPECT_TRUE(store.find_or_join("a", 10, first).leads);
  EXPECT_FALSE(store.find_or_join("a", 11, second).leads);
  EXPECT_FALSE(store.find_or_join("a", 12, third).leads);
  EXPECT_TRUE(store.find_or_join("b", 13, other).leads);
  EXPECT_FALSE(store.take(*second).has_value());
  EXPECT_FALSE(store.end(*second)) << "it only waited";
  ASSERT_TRUE(store.end(*first)) << "the leader left";
  auto waiting = store.take(*first);
  ASSERT_TRUE(waiting.has_value());
  ASSERT_EQ(waiting->size(), 1u) << "the second one has left";
  const TicketRef fourth = ticket();
  EXPECT_FALSE(store.find_or_join("a", 14, fourth).leads);
  EXPECT_FALSE(store.end(*third)) << "leaves while it is handed on";
  const TicketRef next = store.hand_on(*first->flight, std::move(*waiting), 20);
  EXPECT_EQ(next, fourth) << "the third one has left too";
  EXPECT_EQ(next->began_ns, 20u);
  EXPECT_FALSE(store.take(*first).has_value()) << "once";
  EXPECT_EQ(store.take(*fourth)->size(), 0u);
  EXPECT_EQ(store.hand_on(*fourth->flight, {}, 30), nullptr);
  EXPECT_TRUE(store.find_or_join("a", 40, ticket()).leads) << "the flight is over";
}

TEST(Responses, WhoJoinsWhileAFlightLandsIsNotForgotten) {
  auto clock = std::make_unique<TagClock>();
  Responses store(*clock, 1 << 20);
  const TicketRef leader = ticket(), late = ticket();
  store.find_or_join("a", 10, leader);
  auto waiting = store.take(*leader);
  EXPECT_FALSE(store.find_or_join("a", 11, late).leads);
  EXPECT_EQ(store.hand_on(*leader->flight, std::move(*waiting), 12), late);
}

TEST(Entry, HoldsAllOfTheDraft) {
  const Draft made = draft("key", 5, {1, 65535});
  const EntryRef kept = Entry::make(made);
  EXPECT_EQ(kept->key(), "key");
  EXPECT_EQ(kept->etag(), "\"1\"");
  EXPECT_EQ(kept->body(), "xxxxx");
  EXPECT_EQ(std::vector<uint32_t>(kept->slots().begin(), kept->slots().end()), made.slots);
  ASSERT_EQ(kept->fields().size(), 4u);
  EXPECT_EQ(bulkhead::to_view(kept->fields()[1].name), "content-type");
  EXPECT_EQ(bulkhead::to_view(kept->fields()[1].value), "text/plain");
  EXPECT_EQ(bulkhead::to_view(kept->fields()[2].name), "age");
  EXPECT_EQ(bulkhead::to_view(kept->fields()[3].name), "cache-status");
  EXPECT_EQ(kept->age_s(made.made_ns + 2'999'999'999), 2u);
  EXPECT_EQ(kept->age_s(0), 0u);
  ASSERT_EQ(kept->fields_304().size(), 3u) << "no content-type";
  EXPECT_EQ(bulkhead::to_view(kept->fields_304()[0].value), "\"1\"");
  const EntryRef empty = Entry::make({});
  EXPECT_EQ(empty->fields().size(), 2u);
  EXPECT_EQ(empty->body(), "");
}

TEST(Draft, ComesBackFromTheSecondLevel) {
  const Draft made = draft("key", 5, {1, 65535});
  const std::string bytes = made.encode(17);
  uint64_t when = 0;
  const auto back = Draft::decode(bytes, "key", &when);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->body, "xxxxx");
  EXPECT_EQ(back->etag, "\"1\"");
  EXPECT_EQ(back->headers, made.headers);
  EXPECT_EQ(back->slots, made.slots);
  EXPECT_FALSE(Draft::decode(bytes, "other", &when)) << "two keys with one digest";
  EXPECT_FALSE(Draft::decode(bytes + "x", "key", &when));
  for (size_t i = 0; i < bytes.size(); ++i)
    EXPECT_FALSE(Draft::decode(std::string_view(bytes).substr(0, i), "key", &when));
}

TEST(Message, WrittenAndRead) {
  const Message some{"abc", 12345, false, {1, 65535}}, all{"abc", 1, true, {}};
  EXPECT_EQ(some.write(), "abc 12345 1 65535");
  EXPECT_EQ(Message::read(some.write())->slots, some.slots);
  EXPECT_TRUE(Message::read(all.write())->all);
  for (const char* text :
       {"", "abc", "abc 1", "abc 1 ", "abc x 1", "abc 1 65536", "abc 1 -1", "abc 1 1  2", " 1 1", "abc 1 * 1"})
    EXPECT_FALSE(Message::read(text)) << text;
}

TEST(RedisUrl, Parts) {
  bulkhead::RedisUrl url;
  EXPECT_EQ(bulkhead::parse_redis_url("redis://me:p%40ss%3a@[::1]:7000/5", &url), "");
  EXPECT_EQ(url.host, "::1");
  EXPECT_EQ(url.port, 7000);
  EXPECT_EQ(url.database, 5);
  EXPECT_EQ(url.user, "me");
  EXPECT_EQ(url.password, "p@ss:");
  EXPECT_EQ(url.display, "redis://[::1]:7000/5");
  EXPECT_EQ(bulkhead::parse_redis_url("redis://cache", &url), "");
  EXPECT_EQ(url.host, "cache");
  EXPECT_EQ(url.port, 6379);
  EXPECT_EQ(bulkhead::parse_redis_url("redis://", &url), "");
  EXPECT_EQ(url.host, "127.0.0.1");
  for (const char* text : {"", "cache:6379", "redis://x:port", "redis://x/one", "redis://:%4@x", "redis://x:70000"}) {
    const std::string wrong = bulkhead::parse_redis_url(text, &url);
    EXPECT_NE(wrong, "") << text;
  }
  EXPECT_NE(bulkhead::parse_redis_url("rediss://x", &url).find("TLS proxy"), std::string::npos);
}

namespace {

bulkhead::Outcome outcome(int status, const std::vector<bh_pair>& fields) {
  return {.status = status, .fields = fields, .body = {}, .author = {}};
}
bh_pair pair(std::string_view name, std::string_view value) {
  return {bulkhead::to_str(name), bulkhead::to_str(value)};
}

}  // namespace

TEST(Answer, MayBeKept) {
  const bh_pair tag = pair("surrogate-key", "a b"), etag = pair("etag", "\"1\"");
  constexpr Caller known{true, true}, stranger{false, true};
  constexpr uint64_t kMost = 60'000'000'000, kSecond = 1'000'000'000;
  const auto kept = [&](int status, const std::vector<bh_pair>& fields, Caller caller = {}) {
    return lifetime_ns(outcome(status, fields), caller, kMost);
  };
  const auto control = [&](const char* value, Caller caller = {}) {
    return kept(200, {tag, pair("cache-control", value)}, caller);
  };
  EXPECT_EQ(kept(200, {tag}), kMost);
  EXPECT_EQ(kept(304, {tag, etag}), kMost);
  EXPECT_EQ(kept(304, {tag}), 0u) << "of what?";
  EXPECT_EQ(kept(200, {}), 0u);
  EXPECT_EQ(kept(200, {pair("surrogate-key", " ")}), 0u);
  EXPECT_EQ(kept(206, {tag}), 0u);
  EXPECT_EQ(kept(200, {tag, pair("set-cookie", "a")}), 0u);
  EXPECT_EQ(kept(200, {tag, pair("etag", "W/\"1\"")}), 0u);
  EXPECT_EQ(kept(200, {tag, pair("vary", "Accept , Prefer")}), kMost);
  EXPECT_EQ(kept(200, {tag, pair("vary", "Origin")}), 0u);
  EXPECT_EQ(kept(200, {tag, pair("vary", "Authorization")}), 0u) << "nobody knows who";
  EXPECT_EQ(kept(200, {tag, pair("vary", "Authorization")}, known), kMost);
  EXPECT_EQ(kept(200, {tag, pair("content-encoding", "gzip")}, known), 0u);

  // RFC 9111 §3, §3.5, §5.2.2
  EXPECT_EQ(control("max-age=1, No-Store"), 0u);
  EXPECT_EQ(control("private"), 0u) << "this caller is like all others";
  EXPECT_EQ(control("private", known), kMost);
  EXPECT_EQ(control("private=\"set-cookie\""), 0u);
  EXPECT_EQ(control("no-cache"), 0u);
  EXPECT_EQ(control("no-cache", known), 0u);
  EXPECT_EQ(kept(200, {tag}, stranger), 0u);
  EXPECT_EQ(kept(200, {tag}, known), kMost);
  for (const char* allowed : {"public", "must-revalidate"}) EXPECT_EQ(control(allowed, stranger), kMost) << allowed;
  EXPECT_EQ(control("s-maxage=5", stranger), 5 * kSecond);
  EXPECT_EQ(control("max-age=5", stranger), 0u);
  // §4.2.1
  EXPECT_EQ(control("max-age=5"), 5 * kSecond);
  EXPECT_EQ(control("max-age=\"5\""), 5 * kSecond);
  EXPECT_EQ(control("max-age=90"), kMost) << "the route's ttl is the most";
  EXPECT_EQ(control("max-age=99999999999"), kMost);
  EXPECT_EQ(control("max-age=0"), 0u);
  EXPECT_EQ(control("max-age=soon"), 0u) << "what cannot be read is stale";
  EXPECT_EQ(control("max-age=5, s-maxage=7"), 7 * kSecond);
  EXPECT_EQ(control("max-age=5, s-maxage=7", known), 5 * kSecond) << "kept for one caller it is no shared cache";
  EXPECT_EQ(control("max-age=5, max-age=7"), 5 * kSecond);
  EXPECT_EQ(kept(200, {tag, pair("expires", "Thu, 01 Dec 1994 16:00:00 GMT")}), 0u);
  EXPECT_EQ(kept(200, {tag, pair("expires", "0")}), 0u);
  EXPECT_EQ(kept(200, {tag, pair("expires", "Fri, 01 Dec 2299 16:00:00 GMT")}), kMost);
  EXPECT_EQ(kept(200, {tag, pair("expires", "0"), pair("cache-control", "max-age=5")}), 5 * kSecond);
  EXPECT_EQ(kept(200, {tag, pair("age", "2"), pair("cache-control", "max-age=5")}), 3 * kSecond);
  EXPECT_EQ(kept(200, {tag, pair("expires", "Fri, 31 Dec 9999 23:59:59 GMT")}), kMost);
  EXPECT_EQ(kept(200, {tag, pair("age", "9"), pair("cache-control", "max-age=5")}), 0u);
}

TEST(Answer, LocationsOfTheSameOrigin) {
  EXPECT_EQ(same_origin_target("/people/1", "api.example"), "/people/1");
  EXPECT_EQ(same_origin_target("https://api.example/people/1?a=b", "api.example"), "/people/1?a=b");
  EXPECT_EQ(same_origin_target("https://api.example.evil/people/1", "api.example"), "");
  EXPECT_EQ(same_origin_target("https://evil/people/1", "api.example"), "");
  EXPECT_EQ(same_origin_target("//evil/people/1", "api.example"), "");
  EXPECT_EQ(same_origin_target("", "api.example"), "");
}

TEST(Answer, GetsTagAndControl) {
  Route route;
  route.cache_control = "no-cache";
  const std::vector<bh_pair> plain = {pair("surrogate-key", " a  b "), pair("content-type", "text/plain")};
  const auto made = draft_of(outcome(200, plain), route);
  EXPECT_EQ(made.slots, (std::vector<uint32_t>{TagClock::slot("a"), TagClock::slot("b")}));
  EXPECT_EQ(made.etag.size(), 34u);
  EXPECT_EQ(made.added, 2u);
  EXPECT_EQ(made.headers.size(), 3u) << "content-type, etag, cache-control; no surrogate-key";
  const std::vector<bh_pair> own = {pair("surrogate-key", "a"), pair("etag", "\"7\""),
                                    pair("cache-control", "private")};
  EXPECT_EQ(draft_of(outcome(200, own), route).headers,
            (std::vector<std::pair<std::string, std::string>>{{"etag", "\"7\""}, {"cache-control", "private"}}));
}
