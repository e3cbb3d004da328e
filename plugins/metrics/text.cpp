#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>

#include "exposition.hpp"

namespace metrics {

namespace {

// The serializer writes HELP as it is.
std::string escape_help(std::string_view help) {
  std::string escaped;
  for (const char c : help) {
    if (c == '\\')
      escaped += "\\\\";
    else if (c == '\n')
      escaped += "\\n";
    else
      escaped += c;
  }
  return escaped;
}

prometheus::MetricType type_of(uint32_t kind) {
  if (kind == BH_COUNTER) return prometheus::MetricType::Counter;
  return kind == BH_HISTOGRAM ? prometheus::MetricType::Histogram : prometheus::MetricType::Gauge;
}

}  // namespace

std::string text(const std::vector<Collected>& collected) {
  std::vector<prometheus::MetricFamily> families;
  families.reserve(collected.size());
  for (const Collected& each : collected) {
    prometheus::MetricFamily& family = families.emplace_back();
    family.name = each.family->name;
    family.help = escape_help(each.family->help);
    family.type = type_of(each.family->kind);
    family.metric.reserve(each.samples.size());
    for (const Sample& sample : each.samples) {
      prometheus::ClientMetric& metric = family.metric.emplace_back();
      for (size_t i = 0; i < each.family->labels.size(); ++i)
        metric.label.push_back({each.family->labels[i], (*sample.labels)[i]});
      metric.counter.value = metric.gauge.value = sample.value;
      uint64_t count = 0;
      for (size_t i = 0; i < sample.buckets.size(); ++i) {
        count += static_cast<uint64_t>(sample.buckets[i]);
        const bool last = i == each.family->bounds.size();
        metric.histogram.bucket.push_back(
            {count, last ? std::numeric_limits<double>::infinity() : each.family->bounds[i]});
      }
      metric.histogram.sample_count = count;
      metric.histogram.sample_sum = sample.sum;
    }
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace metrics
