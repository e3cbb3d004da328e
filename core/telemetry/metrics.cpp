#include "core/telemetry/metrics.hpp"

#include <algorithm>

#include "bulkhead/value.hpp"

namespace bulkhead::telemetry {

namespace {

bool valid_name(std::string_view name) {
  return !name.empty() && (name[0] < '0' || name[0] > '9') && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
  });
}

std::vector<bh_str> strings(const std::vector<std::string>& from) {
  std::vector<bh_str> to;
  to.reserve(from.size());
  for (const std::string& text : from) to.push_back(to_str(text));
  return to;
}

}  // namespace

void Metrics::replay(const Sink& sink, uint32_t id, const Metric& metric) {
  const std::vector<bh_str> labels = strings(metric.labels);
  bh_metric m{};
  m.size = sizeof m;
  m.kind = metric.kind;
  m.name = to_str(metric.name);
  m.help = to_str(metric.help);
  m.unit = to_str(metric.unit);
  m.labels = labels.data();
  m.label_count = labels.size();
  m.buckets = metric.buckets.empty() ? nullptr : metric.buckets.data();
  m.bucket_count = metric.buckets.size();
  sink.api->metric(sink.self, id, to_str(metric.owner), &m);
}

void Metrics::replay(const Sink& sink, uint32_t id, const Series& series) {
  const std::vector<bh_str> labels = strings(series.labels);
  sink.api->series(sink.self, id, series.metric, labels.data(), labels.size());
}

std::string Metrics::add(std::string_view owner, const bh_metric& metric, uint32_t* id) {
  if (!valid_name(to_view(metric.name))) return "'" + std::string(to_view(metric.name)) + "' is not a metric name";
  Metric kept{std::string(owner),
              std::string(to_view(metric.name)),
              std::string(to_view(metric.help)),
              std::string(to_view(metric.unit)),
              metric.kind,
              {},
              {}};
  for (size_t i = 0; i < metric.label_count; ++i) kept.labels.emplace_back(to_view(metric.labels[i]));
  if (metric.buckets != nullptr) kept.buckets.assign(metric.buckets, metric.buckets + metric.bucket_count);

  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < metrics_.size(); ++i) {
    if (metrics_[i].name != kept.name) continue;
    if (metrics_[i].owner != owner) return "the metric " + kept.name + " belongs to " + metrics_[i].owner;
    if (metrics_[i].kind != kept.kind || metrics_[i].labels != kept.labels)
      return "the metric " + kept.name + " is registered with another kind or other labels";
    *id = static_cast<uint32_t>(i + 1);
    return {};
  }
  metrics_.push_back(std::move(kept));
  *id = static_cast<uint32_t>(metrics_.size());
  if (const Sink* sink = sink_.load(std::memory_order_relaxed); sink != nullptr) replay(*sink, *id, metrics_.back());
  return {};
}

std::string Metrics::series(uint32_t metric, const bh_str* labels, size_t count, uint32_t* id) {
  const std::lock_guard lock(mutex_);
  if (metric == 0 || metric > metrics_.size()) return "no such metric";
  if (count != metrics_[metric - 1].labels.size()) return metrics_[metric - 1].name + " has another number of labels";
  auto& known = metrics_[metric - 1].series;
  std::string key;
  for (size_t i = 0; i < count; ++i) key.append(to_view(labels[i])).push_back('\0');
  if (const auto found = known.find(key); found != known.end()) {
    *id = found->second;
    return {};
  }
  if (known.size() == kMaxSeries) return metrics_[metric - 1].name + " has too many series";
  Series kept{metric, {}};
  for (size_t i = 0; i < count; ++i) kept.labels.emplace_back(to_view(labels[i]));
  series_.push_back(std::move(kept));
  *id = static_cast<uint32_t>(series_.size());
  known.emplace(std::move(key), *id);
  if (const Sink* sink = sink_.load(std::memory_order_relaxed); sink != nullptr) replay(*sink, *id, series_.back());
  return {};
}

void Metrics::set_sink(const bh_metric_sink* api, void* self) {
  const std::lock_guard lock(mutex_);
  const Sink& sink = sinks_.emplace_back(Sink{api, self});
  for (size_t i = 0; i < metrics_.size(); ++i) replay(sink, static_cast<uint32_t>(i + 1), metrics_[i]);
  for (size_t i = 0; i < series_.size(); ++i) replay(sink, static_cast<uint32_t>(i + 1), series_[i]);
  sink_.store(&sink, std::memory_order_release);
}

}  // namespace bulkhead::telemetry
