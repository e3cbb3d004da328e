#include "store.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "bulkhead/http.hpp"
#include "bulkhead/text/utf8.hpp"

namespace metrics {

using bulkhead::clean_utf8;
using bulkhead::to_view;

namespace {

constexpr std::array<double, 11> kDefaultBounds = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};

size_t this_stripe(size_t stripes) {
  static std::atomic<size_t> next{0};
  static thread_local size_t mine = SIZE_MAX;
  if (mine == SIZE_MAX) mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine % stripes;
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

struct Store::Metric {
  Family family;
  std::vector<Series*> series;
  Series* overflow = nullptr;  // stands for every series past the limit
};

struct Store::Series {
  const Family* family = nullptr;
  std::vector<std::string> labels;
  size_t first_cell = 0;
  std::atomic<double> gauge{0};
  bool is_overflow = false;
  // Histograms: of each bucket the last one.
  mutable std::mutex exemplars_mutex;
  mutable std::vector<Exemplar> exemplars;

  size_t cell_count() const {
    if (family->kind == BH_GAUGE) return 0;
    return family->kind == BH_HISTOGRAM ? family->bounds.size() + 2 : 1;
  }
};

Store::Store(size_t max_series) : max_series_(max_series) {
  for (auto& stripe : stripes_) stripe = std::make_unique<Stripe>();
  dropped_ = &metrics_.emplace_back();
  dropped_->family = {"bulkhead_metrics_dropped_total",
                      "Recordings lost: of series past the limit of their metric, or no number.",
                      "",
                      BH_COUNTER,
                      {"metric"},
                      {}};
}

Store::~Store() {
  for (auto& chunk : chunks_) delete chunk.load();
  for (const auto& stripe : stripes_)
    for (auto& cells : *stripe) delete cells.load();
}

// The store's own metric comes first, so a metric's place is its id.
void Store::metric(uint32_t id, const bh_metric& metric) {
  const std::lock_guard lock(mutex_);
  if (id != metrics_.size()) return;  // not dense: the caller is not the host
  Family family{clean_utf8(to_view(metric.name)),
                clean_utf8(to_view(metric.help)),
                clean_utf8(to_view(metric.unit)),
                metric.kind,
                {},
                {}};
  for (size_t i = 0; i < metric.label_count; ++i) family.labels.push_back(clean_utf8(to_view(metric.labels[i])));
  if (metric.kind == BH_HISTOGRAM) {
    if (metric.bucket_count != 0)
      family.bounds.assign(metric.buckets, metric.buckets + metric.bucket_count);
    else
      family.bounds.assign(kDefaultBounds.begin(), kDefaultBounds.end());
    std::erase_if(family.bounds, [](double bound) { return !std::isfinite(bound); });
    std::sort(family.bounds.begin(), family.bounds.end());
    family.bounds.erase(std::unique(family.bounds.begin(), family.bounds.end()), family.bounds.end());
    if (family.bounds.size() > kChunk - 2) family.bounds.resize(kChunk - 2);
  }
  metrics_.emplace_back().family = std::move(family);
}

// Cells of one series lie in one piece.
size_t Store::reserve(size_t count) {
  if (next_cell_ % kChunk + count > kChunk) next_cell_ = (next_cell_ / kChunk + 1) * kChunk;
  const size_t first = next_cell_;
  next_cell_ += count;
  return first;
}

void Store::series(uint32_t id, uint32_t metric, const bh_str* labels, size_t count) {
  const std::lock_guard lock(mutex_);
  if (metric == 0 || metric >= metrics_.size() || id / kChunk >= kChunks) return;
  Metric& of = metrics_[metric];
  const auto make = [this](const Family& family) -> Series& {
    Series& series = series_.emplace_back();
    series.family = &family;
    series.first_cell = reserve(series.cell_count());
    return series;
  };
  Series* series = nullptr;
  if (of.series.size() < max_series_ && next_cell_ / kChunk + 2 < kChunks) {
    series = &make(of.family);
    for (size_t i = 0; i < count; ++i) series->labels.push_back(clean_utf8(to_view(labels[i])));
    if (of.family.kind == BH_HISTOGRAM) series->exemplars.resize(of.family.bounds.size() + 1);
    of.series.push_back(series);
  } else {
    if (of.overflow == nullptr) {
      of.overflow = &make(dropped_->family);
      of.overflow->labels = {of.family.name};
      of.overflow->is_overflow = true;
      dropped_->series.push_back(of.overflow);
    }
    series = of.overflow;
  }
  Chunk* chunk = chunks_[id / kChunk].load(std::memory_order_relaxed);
  if (chunk == nullptr) {
    chunk = std::make_unique<Chunk>().release();
    chunks_[id / kChunk].store(chunk, std::memory_order_release);
  }
  (*chunk)[id % kChunk].store(series, std::memory_order_release);
}

const Store::Series* Store::find(uint32_t id) const {
  if (id / kChunk >= kChunks) return nullptr;
  const Chunk* chunk = chunks_[id / kChunk].load(std::memory_order_acquire);
  return chunk == nullptr ? nullptr : (*chunk)[id % kChunk].load(std::memory_order_acquire);
}

std::atomic<double>* Store::cells(const Series& series) {
  std::atomic<Cells*>& place = (*stripes_[this_stripe(kStripes)])[series.first_cell / kChunk];
  Cells* cells = place.load(std::memory_order_acquire);
  if (cells == nullptr) {
    auto made = std::make_unique<Cells>();
    if (place.compare_exchange_strong(cells, made.get(), std::memory_order_acq_rel)) cells = made.release();
  }
  return cells->data() + series.first_cell % kChunk;
}

void Store::record(uint32_t id, double value, const bh_trace_ids* trace) {
  const Series* series = find(id);
  if (series == nullptr) return;
  if (series->is_overflow) value = 1;
  const uint32_t kind = series->family->kind;
  if (kind == BH_GAUGE) {
    const_cast<Series*>(series)->gauge.store(value, std::memory_order_relaxed);
    return;
  }
  // What would spoil a sum for ever.
  if (!std::isfinite(value) || (kind == BH_COUNTER && value < 0)) return;
  std::atomic<double>* cell = cells(*series);
  if (kind != BH_HISTOGRAM) {
    cell->fetch_add(value, std::memory_order_relaxed);
    return;
  }
  const std::vector<double>& bounds = series->family->bounds;
  size_t bucket = 0;
  while (bucket < bounds.size() && value > bounds[bucket]) ++bucket;
  cell[bucket].fetch_add(1, std::memory_order_relaxed);
  cell[bounds.size() + 1].fetch_add(value, std::memory_order_relaxed);
  if (trace != nullptr) remember(*series, bucket, value, *trace);
}

bool Store::takes_exemplar(uint32_t id) const {
  const Series* series = find(id);
  return series != nullptr && series->family->kind == BH_HISTOGRAM;
}

// Never waits: an exemplar that is being written stays.
void Store::remember(const Series& series, size_t bucket, double value, const bh_trace_ids& trace) const {
  const std::unique_lock lock(series.exemplars_mutex, std::try_to_lock);
  if (!lock) return;
  Exemplar& exemplar = series.exemplars[bucket];
  std::memcpy(exemplar.trace_id.data(), trace.trace_id, sizeof trace.trace_id);
  std::memcpy(exemplar.span_id.data(), trace.span_id, sizeof trace.span_id);
  exemplar.value = value;
  exemplar.seconds = wall_seconds();
}

Sample Store::read(const Series& series) const {
  Sample sample{&series.labels};
  const size_t count = series.cell_count();
  if (count == 0) {
    sample.value = series.gauge.load(std::memory_order_relaxed);
    return sample;
  }
  std::vector<double> sums(count);
  for (const auto& stripe : stripes_) {
    const Cells* cells = (*stripe)[series.first_cell / kChunk].load(std::memory_order_acquire);
    if (cells == nullptr) continue;
    for (size_t i = 0; i < count; ++i)
      sums[i] += (*cells)[series.first_cell % kChunk + i].load(std::memory_order_relaxed);
  }
  if (series.family->kind != BH_HISTOGRAM) {
    sample.value = sums[0];
    return sample;
  }
  sample.sum = sums.back();
  sums.pop_back();
  sample.buckets = std::move(sums);
  const std::lock_guard lock(series.exemplars_mutex);
  sample.exemplars = series.exemplars;
  return sample;
}

std::vector<Collected> Store::collect() const {
  std::vector<Collected> all;
  std::vector<std::pair<const Family*, std::vector<Series*>>> listed;
  {
    const std::lock_guard lock(mutex_);
    for (const Metric& metric : metrics_)
      if (!metric.series.empty()) listed.emplace_back(&metric.family, metric.series);
  }
  std::sort(listed.begin(), listed.end(), [](const auto& a, const auto& b) { return a.first->name < b.first->name; });
  for (const auto& [family, series] : listed) {
    Collected& collected = all.emplace_back(Collected{family, {}});
    collected.samples.reserve(series.size());
    for (const Series* each : series) collected.samples.push_back(read(*each));
  }
  return all;
}

}  // namespace metrics
