#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "bulkhead/http.hpp"
#include "bulkhead/text/utf8.hpp"
#include "exposition.hpp"
#include "store.hpp"

using namespace metrics;

namespace {

class Kept {
 public:
  explicit Kept(size_t max_series = 2000) : store(max_series) {}
  uint32_t metric(uint32_t kind, std::string_view name, std::vector<std::string> labels = {},
                  std::vector<double> bounds = {}, std::string_view help = "Help.") {
    std::vector<bh_str> names;
    for (const std::string& label : labels) names.push_back(bulkhead::to_str(label));
    bh_metric m{};
    m.size = sizeof m;
    m.kind = kind;
    m.name = bulkhead::to_str(name);
    m.help = bulkhead::to_str(help);
    m.labels = names.data();
    m.label_count = names.size();
    m.buckets = bounds.empty() ? nullptr : bounds.data();
    m.bucket_count = bounds.size();
    store.metric(++metrics_, m);
    return metrics_;
  }
  uint32_t series(uint32_t metric, std::vector<std::string> values = {}) {
    std::vector<bh_str> labels;
    for (const std::string& value : values) labels.push_back(bulkhead::to_str(value));
    store.series(++series_, metric, labels.data(), labels.size());
    return series_;
  }
  std::string text() const { return metrics::text(store.collect()); }
  std::string open() const { return open_metrics(store.collect()); }

  Store store;

 private:
  uint32_t metrics_ = 0, series_ = 0;
};

bool has(const std::string& text, std::string_view line) {
  return ("\n" + text).find("\n" + std::string(line) + "\n") != std::string::npos;
}

}  // namespace

TEST(Store, ThreadsAddUp) {
  Kept kept;
  const uint32_t counter = kept.series(kept.metric(BH_COUNTER, "a_total"));
  const uint32_t histogram = kept.series(kept.metric(BH_HISTOGRAM, "h", {}, {1, 2}));
  const uint32_t updown = kept.series(kept.metric(BH_UPDOWN, "u"));
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 10'000; ++i) {
          kept.store.record(counter, 2, nullptr);
          kept.store.record(histogram, i % 3 + 0.5, nullptr);
          kept.store.record(updown, i % 2 == 0 ? 1 : -1, nullptr);
        }
      });
    for (int i = 0; i < 20; ++i) kept.text();  // while they record
  }
  const std::string text = kept.text();
  EXPECT_TRUE(has(text, "a_total 160000")) << text;
  EXPECT_TRUE(has(text, "u 0")) << text;
  EXPECT_TRUE(has(text, "h_count 80000")) << text;
  EXPECT_TRUE(has(text, "h_bucket{le=\"1\"} 26672")) << text;  // 8 x 3334
  EXPECT_TRUE(has(text, "h_bucket{le=\"2\"} 53336")) << text;
  EXPECT_TRUE(has(text, "h_bucket{le=\"+Inf\"} 80000")) << text;
}

TEST(Store, AGaugeHasTheLastValue) {
  Kept kept;
  const uint32_t gauge = kept.series(kept.metric(BH_GAUGE, "g"));
  kept.store.record(gauge, 3, nullptr);
  std::thread([&] { kept.store.record(gauge, -7.5, nullptr); }).join();
  EXPECT_TRUE(has(kept.text(), "g -7.5"));
}

TEST(Store, WhatIsNoNumberSpoilsNoSum) {
  Kept kept;
  const uint32_t counter = kept.series(kept.metric(BH_COUNTER, "a_total"));
  const uint32_t histogram = kept.series(kept.metric(BH_HISTOGRAM, "h", {}, {1}));
  for (const double bad : {std::nan(""), double{INFINITY}, -1.0}) kept.store.record(counter, bad, nullptr);
  kept.store.record(histogram, std::nan(""), nullptr);
  kept.store.record(counter, 1, nullptr);
  EXPECT_TRUE(has(kept.text(), "a_total 1"));
  EXPECT_TRUE(has(kept.text(), "h_count 0"));
}

TEST(Store, SeriesPastTheLimitAreCounted) {
  Kept kept(3);
  const uint32_t metric = kept.metric(BH_COUNTER, "a_total", {"who"});
  for (int i = 0; i < 10; ++i) kept.store.record(kept.series(metric, {std::to_string(i)}), 5, nullptr);
  const std::string text = kept.text();
  EXPECT_TRUE(has(text, "a_total{who=\"2\"} 5")) << text;
  EXPECT_EQ(text.find("who=\"3\""), std::string::npos);
  EXPECT_TRUE(has(text, "bulkhead_metrics_dropped_total{metric=\"a_total\"} 7")) << text;
}

TEST(Store, ManySeriesOfEverySize) {
  Kept kept(10'000);
  std::vector<double> bounds;
  for (int i = 0; i < 700; ++i) bounds.push_back(i);
  const uint32_t wide = kept.metric(BH_HISTOGRAM, "wide", {"n"}, bounds),
                 narrow = kept.metric(BH_COUNTER, "n_total", {"n"});
  std::vector<uint32_t> ids;
  for (int i = 0; i < 50; ++i) {
    ids.push_back(kept.series(wide, {std::to_string(i)}));
    for (int j = 0; j < 30; ++j) ids.push_back(kept.series(narrow, {std::to_string(i * 100 + j)}));
  }
  for (const uint32_t id : ids) kept.store.record(id, 699, nullptr);
  for (const Collected& each : kept.store.collect())
    for (const Sample& sample : each.samples) {
      EXPECT_EQ(each.family->kind == BH_HISTOGRAM ? sample.buckets[699] * 699 : sample.value, 699);
    }
  EXPECT_TRUE(has(kept.text(), "wide_count{n=\"49\"} 1"));
}

TEST(Store, UnknownIdsDoNothing) {
  Kept kept;
  for (const uint32_t id : {0u, 1u, 77u, 1u << 20, UINT32_MAX}) kept.store.record(id, 1, nullptr);
  bh_metric metric{};
  kept.store.metric(40, metric);
  kept.store.series(UINT32_MAX, 1, nullptr, 0);
  kept.store.series(1, 9, nullptr, 0);
  EXPECT_EQ(kept.text(), "");
}

TEST(Exposition, WhateverTheTextsHold) {
  Kept kept;
  const uint32_t metric = kept.metric(BH_COUNTER, "a_total", {"l"}, {}, "two\nlines \\ \"quoted\" \xff");
  kept.store.record(kept.series(metric, {"x\ny\"z\\ \xc3\x28 \xe2\x82\xac"}), 1, nullptr);
  const std::string text = kept.text(), open = kept.open();
  EXPECT_TRUE(has(text, "# HELP a_total two\\nlines \\\\ \"quoted\" \xef\xbf\xbd")) << text;
  EXPECT_TRUE(has(text, "a_total{l=\"x\\ny\\\"z\\\\ \xef\xbf\xbd( \xe2\x82\xac\"} 1")) << text;
  EXPECT_TRUE(has(open, "# HELP a two\\nlines \\\\ \\\"quoted\\\" \xef\xbf\xbd")) << open;
  EXPECT_TRUE(has(open, "a_total{l=\"x\\ny\\\"z\\\\ \xef\xbf\xbd( \xe2\x82\xac\"} 1")) << open;
}

TEST(Exposition, OpenMetrics) {
  Kept kept;
  const uint32_t histogram = kept.series(kept.metric(BH_HISTOGRAM, "h_seconds", {}, {0.5, 1, 5}));
  kept.store.record(kept.series(kept.metric(BH_COUNTER, "odd")), 1, nullptr);
  kept.store.record(kept.series(kept.metric(BH_GAUGE, "g")), INFINITY, nullptr);
  bh_trace_ids trace{};
  trace.size = sizeof trace;
  trace.trace_id[0] = 0xab;
  trace.trace_id[15] = 1;
  trace.span_id[7] = 2;
  kept.store.record(histogram, 0.75, &trace);
  kept.store.record(histogram, 9, nullptr);
  const std::string open = kept.open();
  EXPECT_TRUE(has(open, "# TYPE odd unknown")) << open;
  EXPECT_TRUE(has(open, "g +Inf")) << open;
  EXPECT_TRUE(has(open, "# TYPE h_seconds histogram")) << open;
  EXPECT_TRUE(has(open, "h_seconds_bucket{le=\"0.5\"} 0")) << open;
  EXPECT_NE(open.find("h_seconds_bucket{le=\"1.0\"} 1 # {trace_id=\"ab000000000000000000000000000001\",span_id="
                      "\"0000000000000002\"} 0.75 "),
            std::string::npos)
      << open;
  EXPECT_TRUE(has(open, "h_seconds_bucket{le=\"+Inf\"} 2")) << open;
  EXPECT_TRUE(open.ends_with("# EOF\n"));
}

TEST(Exposition, Negotiation) {
  EXPECT_FALSE(prefers_open_metrics(""));
  EXPECT_FALSE(prefers_open_metrics("*/*"));
  EXPECT_FALSE(prefers_open_metrics("text/plain"));
  EXPECT_TRUE(prefers_open_metrics("application/openmetrics-text"));
  EXPECT_TRUE(prefers_open_metrics("application/OpenMetrics-text; version=1.0.0 , text/plain;q=0.5"));
  EXPECT_TRUE(
      prefers_open_metrics("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version="
                           "0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
  EXPECT_FALSE(prefers_open_metrics("application/openmetrics-text;q=0"));
  EXPECT_FALSE(prefers_open_metrics("application/openmetrics-text;q=0.3, text/plain;q=0.9"));
  EXPECT_FALSE(prefers_open_metrics(",;,q=;application/openmetrics-text;q=x"));
}
