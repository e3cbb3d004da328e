// Recording, beside prometheus-cpp's own counter and histogram, by one thread and by two; and a scrape of 5,000 series.
#include <benchmark/benchmark.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "bulkhead/http.hpp"
#include "exposition.hpp"
#include "store.hpp"

namespace {

const std::vector<double> kBounds = {.001, .005, .01, .05, .1, .5, 1, 2, 5};

uint32_t add(metrics::Store& store, uint32_t id, uint32_t kind, std::string_view name) {
  static const bh_str kLabel = BH_LIT("n");
  bh_metric m{};
  m.size = sizeof m;
  m.kind = kind;
  m.name = bulkhead::to_str(name);
  m.help = bulkhead::to_str("Help.");
  m.labels = &kLabel;
  m.label_count = 1;
  m.buckets = kBounds.data();
  m.bucket_count = kBounds.size();
  store.metric(id, m);
  return id;
}

metrics::Store& shared() {
  static metrics::Store store(10'000);
  static const bool once = [] {
    const bh_str label = BH_LIT("x");
    store.series(1, add(store, 1, BH_COUNTER, "c_total"), &label, 1);
    store.series(2, add(store, 2, BH_HISTOGRAM, "h_seconds"), &label, 1);
    return true;
  }();
  benchmark::DoNotOptimize(once);
  return store;
}

void record_counter(benchmark::State& state) {
  for (auto _ : state) shared().record(1, 1, nullptr);
}
void record_histogram(benchmark::State& state) {
  for (auto _ : state) shared().record(2, .004, nullptr);
}
void prometheus_counter(benchmark::State& state) {
  static prometheus::Counter counter;
  for (auto _ : state) counter.Increment();
}
void prometheus_histogram(benchmark::State& state) {
  static prometheus::Histogram histogram(kBounds);
  for (auto _ : state) histogram.Observe(.004);
}
BENCHMARK(record_counter)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(prometheus_counter)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(record_histogram)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(prometheus_histogram)->ThreadRange(1, 2)->UseRealTime();

// Series as Prometheus counts them: 400 histograms of 12, and 200 counters.
void scrape(benchmark::State& state) {
  metrics::Store store(10'000);
  add(store, 1, BH_HISTOGRAM, "h_seconds");
  add(store, 2, BH_COUNTER, "c_total");
  for (uint32_t id = 1; id <= 600; ++id) {
    const std::string label = "/people/{uuid}/" + std::to_string(id);
    const bh_str value = bulkhead::to_str(label);
    store.series(id, id <= 400 ? 1 : 2, &value, 1);
    store.record(id, 1.5, nullptr);
  }
  size_t bytes = 0;
  for (auto _ : state)
    bytes = (state.range(0) != 0 ? metrics::open_metrics(store.collect()) : metrics::text(store.collect())).size();
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(scrape)->ArgName("open")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
