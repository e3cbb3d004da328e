// OpenMetrics 1.0:
// https://github.com/OpenObservability/OpenMetrics/blob/main/specification/OpenMetrics.md
#include <charconv>
#include <cmath>

#include "exposition.hpp"

#include "bulkhead/text/hex.hpp"

namespace metrics {

namespace {

constexpr std::string_view kTotal = "_total";

class Writer {
 public:
  explicit Writer(std::string& to) : to_(to) {}

  void raw(std::string_view text) { to_ += text; }
  void escaped(std::string_view text) {
    for (const char c : text) {
      if (c == '\\')
        to_ += "\\\\";
      else if (c == '"')
        to_ += "\\\"";
      else if (c == '\n')
        to_ += "\\n";
      else
        to_ += c;
    }
  }
  // The shortest form that reads back the same; `canonical` has a fraction or an exponent always,
  // as "le" wants it.
  void number(double value, bool canonical = false) {
    if (std::isnan(value)) return raw("NaN");
    if (std::isinf(value)) return raw(value < 0 ? "-Inf" : "+Inf");
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    const std::string_view written(text, static_cast<size_t>(end - text));
    raw(written);
    if (canonical && written.find_first_of(".e") == std::string_view::npos) raw(".0");
  }
  void labels(const Family& family, const Sample& sample, const double* le = nullptr) {
    if (family.labels.empty() && le == nullptr) return;
    to_ += '{';
    for (size_t i = 0; i < family.labels.size(); ++i) {
      if (i != 0) to_ += ',';
      raw(family.labels[i]);
      raw("=\"");
      escaped((*sample.labels)[i]);
      to_ += '"';
    }
    if (le != nullptr) {
      if (!family.labels.empty()) to_ += ',';
      raw("le=\"");
      number(*le, true);
      to_ += '"';
    }
    to_ += '}';
  }
  void exemplar(const Exemplar& exemplar) {
    if (exemplar.seconds == 0) return;
    raw(" # {trace_id=\"");
    bulkhead::append_hex(exemplar.trace_id, &to_);
    raw("\",span_id=\"");
    bulkhead::append_hex(exemplar.span_id, &to_);
    raw("\"} ");
    number(exemplar.value);
    to_ += ' ';
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, exemplar.seconds, std::chars_format::fixed, 3).ptr;
    raw({text, static_cast<size_t>(end - text)});
  }

 private:
  std::string& to_;
};

void histogram(Writer& out, const Family& family, std::string_view name, const Sample& sample) {
  double count = 0;
  for (size_t i = 0; i < sample.buckets.size(); ++i) {
    count += sample.buckets[i];
    const double bound = i < family.bounds.size() ? family.bounds[i] : INFINITY;
    out.raw(name);
    out.raw("_bucket");
    out.labels(family, sample, &bound);
    out.raw(" ");
    out.number(count);
    out.exemplar(sample.exemplars[i]);
    out.raw("\n");
  }
  for (const auto& [suffix, value] : {std::pair{"_count", count}, std::pair{"_sum", sample.sum}}) {
    out.raw(name);
    out.raw(suffix);
    out.labels(family, sample);
    out.raw(" ");
    out.number(value);
    out.raw("\n");
  }
}

}  // namespace

std::string open_metrics(const std::vector<Collected>& collected) {
  std::string text;
  text.reserve(64 * 1024);
  Writer out(text);
  for (const auto& [family, samples] : collected) {
    std::string_view name = family->name, type = "gauge";
    if (family->kind == BH_HISTOGRAM) {
      type = "histogram";
    } else if (family->kind == BH_COUNTER) {
      type = name.ends_with(kTotal) ? "counter" : "unknown";  // a counter's samples end in _total, or it is none
      if (name.ends_with(kTotal)) name.remove_suffix(kTotal.size());
    }
    for (const auto& [key, value] : {std::pair{"# TYPE ", type}, std::pair{"# UNIT ", std::string_view(family->unit)},
                                     std::pair{"# HELP ", std::string_view(family->help)}}) {
      if (value.empty() || (value == family->unit && !name.ends_with("_" + family->unit))) continue;
      out.raw(key);
      out.raw(name);
      out.raw(" ");
      out.escaped(value);
      out.raw("\n");
    }
    for (const Sample& sample : samples) {
      if (family->kind == BH_HISTOGRAM) {
        histogram(out, *family, name, sample);
        continue;
      }
      out.raw(family->name);
      out.labels(*family, sample);
      out.raw(" ");
      out.number(sample.value);
      out.raw("\n");
    }
  }
  out.raw("# EOF\n");
  return text;
}

}  // namespace metrics
