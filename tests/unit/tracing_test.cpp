#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "delivery.hpp"
#include "exporter.hpp"
#include "otlp.hpp"
#include "protobuf.hpp"
#include "random.hpp"
#include "sampler.hpp"
#include "trace.hpp"

using namespace tracing;
using std::chrono::milliseconds;

namespace {
constexpr uint64_t kSecond = 1'000'000'000;
}

TEST(Random, IdsAreDistinctAndSpread) {
  std::set<TraceId> seen;
  size_t in = 0;
  for (int i = 0; i < 100'000; ++i) {
    const TraceId id = random_trace_id();
    seen.insert(id);
    in += in_share(id, 0.1) ? 1 : 0;
  }
  EXPECT_EQ(seen.size(), 100'000u);
  EXPECT_NEAR(static_cast<double>(in), 10'000, 500) << "a deviation is 95";
  EXPECT_TRUE(in_share(random_trace_id(), 1));
  EXPECT_FALSE(in_share(random_trace_id(), 0));
}

TEST(Sampler, ASmallerShareIsPartOfALargerOne) {
  for (int i = 0; i < 10'000; ++i) {
    const TraceId id = random_trace_id();
    if (in_share(id, 0.1)) {
      EXPECT_TRUE(in_share(id, 0.2));
    }
  }
}

TEST(Sampler, KeepsErrorsAndSlowRequests) {
  Sampler sampler({.ratio = 0});
  EXPECT_EQ(sampler.tail(false, 200, kSecond - 1, 1, 1), Decision::kUnsampled);
  EXPECT_EQ(sampler.tail(false, 200, kSecond, 1, 1), Decision::kSlow);
  EXPECT_EQ(sampler.tail(false, 500, 1, 1, 1), Decision::kError);
  EXPECT_EQ(sampler.tail(false, 499, 1, 1, 1), Decision::kUnsampled);
  EXPECT_EQ(sampler.tail(true, 200, 1, 1, 1), Decision::kHead);
}

TEST(Sampler, HoldsItsBudget) {
  Sampler sampler({.parent_based = false, .ratio = 1, .max_spans_per_second = 100});
  uint64_t now = kSecond;
  size_t all_errors = 0;
  for (int second = 0; second < 20; ++second, now += kSecond) {
    size_t spans = 0, errors = 0;
    for (int i = 0; i < 10'000; ++i) {  // and ten errors
      const bool error = i % 1000 == 999;
      const bool head = sampler.head(random_trace_id(), false, 0, "/x");
      const Decision decision = sampler.tail(head, error ? 500 : 200, 1, 1, now + static_cast<uint64_t>(i) * 99'000);
      const bool kept = decision != Decision::kUnsampled && decision != Decision::kOverBudget;
      spans += kept ? 1 : 0;
      errors += kept && error ? 1 : 0;
    }
    EXPECT_LE(spans, 100u) << second;
    if (second > 5) {
      EXPECT_GE(spans, 30u) << "and it is used";
      all_errors += errors;
    }
  }
  EXPECT_GE(all_errors, 100u) << "of 140: what is left over is for errors";
  EXPECT_LT(sampler.factor(), 0.05);
  for (int second = 0; second < 20; ++second, now += kSecond) sampler.tick(now);
  EXPECT_EQ(sampler.factor(), 1) << "it comes back when there is less to tell, though nothing is sampled";
}

TEST(Sampler, ABudgetHoldsWhereThreadsComeInAnyOrder) {
  Sampler sampler({.ratio = 1, .max_spans_per_second = 100});
  size_t kept = 0;
  for (uint64_t i = 0; i < 10'000; ++i)  // two threads around the turn of a second
    kept += sampler.tail(true, 200, 1, 1, 2 * kSecond - 500 + i % 2 * 1000) == Decision::kHead ? 1 : 0;
  EXPECT_LE(kept, 200u);
  EXPECT_LT(sampler.factor(), 1.0 + 1e-9);
}

TEST(Delivery, RetryAfter) {
  EXPECT_EQ(parse_retry_after("3", 0), milliseconds(3000));
  EXPECT_EQ(parse_retry_after(" 0 \r\n", 0), milliseconds(0));
  EXPECT_EQ(parse_retry_after("Thu, 01 Jan 1970 00:00:10 GMT", 4), milliseconds(6000));
  EXPECT_EQ(parse_retry_after("Thu, 01 Jan 1970 00:00:10 GMT", 400), milliseconds(0)) << "it is over";
  EXPECT_EQ(parse_retry_after("86400", 0), milliseconds(60'000)) << "nobody waits for a day";
  EXPECT_EQ(parse_retry_after("soon", 0), std::nullopt);
  EXPECT_EQ(parse_retry_after("", 0), std::nullopt);
}

TEST(Otlp, PartialSuccess) {
  ProtobufWriter answer;
  answer.message(1, [&] {
    answer.varint(1, 7);
    answer.text(2, "no room");
  });
  Rejected rejected = parse_partial_success(answer.take(), false);
  EXPECT_EQ(rejected.count, 7u);
  EXPECT_EQ(rejected.why, "no room");
  rejected = parse_partial_success(R"({"partialSuccess":{"rejectedSpans":"7","errorMessage":"no room"}})", true);
  EXPECT_EQ(rejected.count, 7u);
  EXPECT_EQ(rejected.why, "no room");
  EXPECT_EQ(parse_partial_success(R"({"partialSuccess":{"rejectedLogRecords":2}})", true).count, 2u);
  for (const bool json : {true, false})
    for (const char* nothing : {"", "{}", "\xff\xff", "[1]", R"({"partialSuccess":7})", "\x0a\x7f"})
      EXPECT_EQ(parse_partial_success(nothing, json).count, 0u) << nothing;
}

TEST(Protobuf, LengthsOfMessages) {
  for (const size_t size : {0u, 1u, 127u, 128u, 16'383u, 16'384u, 100'000u}) {
    ProtobufWriter out;
    out.message(3, [&] { out.message(200, [&] { out.text(1, std::string(size, 'x')); }); });
    const std::string bytes = out.take();
    ProtobufReader outer(bytes);
    ASSERT_TRUE(outer.next());
    EXPECT_EQ(outer.field, 3u);
    ProtobufReader middle(outer.text);
    ASSERT_TRUE(middle.next());
    EXPECT_EQ(middle.field, 200u);
    ProtobufReader inner(middle.text);
    ASSERT_TRUE(inner.next());
    EXPECT_EQ(inner.text.size(), size);
    EXPECT_FALSE(inner.next() || middle.next() || outer.next());
  }
}

TEST(Pool, ATraceIsTakenAgainOnceNobodyHoldsIt) {
  TracePool pool({});
  Trace& trace = pool.take();
  trace.ref();
  trace.unref();
  Trace& other = pool.take();
  EXPECT_NE(&other, &trace) << "it is still held";
  trace.flags = 1;
  trace.unref();
  Trace& next = pool.take();
  EXPECT_EQ(&next, &trace) << "memory is used again";
  EXPECT_EQ(next.flags, 0) << "and is as new";
  other.unref();
  next.unref();
}

TEST(Pool, SpansEndWhereverTheyEnd) {
  TracePool pool({.spans = 2, .attributes = 2, .links = 1, .text = 4});
  Trace& trace = pool.take();
  Span* early = trace.begin(BH_SPAN_CLIENT, "early", "p", {}, 1);
  Span* late = trace.begin(BH_SPAN_CLIENT, "late", "p", {}, 1);
  EXPECT_EQ(trace.begin(BH_SPAN_CLIENT, "one too many", "p", {}, 1), nullptr);
  EXPECT_EQ(pool.dropped_spans, 1u);
  bh_value value{};
  value.kind = BH_TEXT;
  value.as.s = {"longer than four", 16};
  for (const char* key : {"a", "b", "c"}) trace.tag(*early, key, value);
  EXPECT_EQ(early->attribute_count, 2u);
  EXPECT_EQ(early->dropped_attributes, 1u);
  EXPECT_EQ(early->attributes->value.as.s.len, 4u);
  EXPECT_FALSE(trace.end(*early, 2, false, {}));
  Span* kept = trace.close(true);
  EXPECT_EQ(kept, early);
  EXPECT_EQ(kept->next, nullptr);
  EXPECT_TRUE(trace.end(*late, 3, true, "timeout")) << "the trace is on its way: this one goes alone";
  trace.unref();  // late's reference, as the exporter drops it
  trace.unref();
}

TEST(Spans, AKeyIsThereOnce) {
  TracePool pool({});
  Trace& trace = pool.take();
  Span* span = trace.begin(BH_SPAN_CLIENT, "n", "p", {}, 1);
  bh_value value{};
  value.kind = BH_INT;
  for (value.as.i = 0; value.as.i < 3; ++value.as.i) trace.tag(*span, "k", value);
  trace.tag(*span, kPluginKey, value);
  EXPECT_EQ(span->attribute_count, 1u);
  EXPECT_EQ(span->attributes->value.as.i, 2);
  trace.end(*span, 2, false, {});
  trace.close(false);
  trace.unref();
}

TEST(Urls, AreShownWithoutSecrets) {
  EXPECT_EQ(show_url("https://user:token@collector:4318/v1/traces?api_key=x"), "https://collector:4318/v1/traces");
  EXPECT_EQ(show_url("http://collector"), "http://collector");
  EXPECT_EQ(show_url("http://a@b@c/d@e"), "http://c/d@e");
}

TEST(Pool, ManyThreads) {
  TracePool pool({});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&pool] {
      for (int i = 0; i < 5000; ++i) {
        Trace& trace = pool.take();
        Span* span = trace.begin(BH_SPAN_CLIENT, "name", "plugin", {}, 1);
        std::thread other;
        if (i % 500 == 0) {
          trace.ref();
          other = std::thread([&trace] {
            for (int j = 0; j < 100; ++j) {
              trace.ref();
              trace.unref();
            }
            trace.unref();
          });
        }
        trace.end(*span, 2, false, {});
        trace.close(false);
        trace.unref();
        if (other.joinable()) other.join();
      }
    });
  for (std::thread& thread : threads) thread.join();
}
