#include <algorithm>
#include <charconv>
#include <string>

#include "bulkhead/fields.hpp"
#include "exposition.hpp"

namespace metrics {

namespace {

// The text up to `separator`; what follows stays in `rest`.
std::string_view take(std::string_view* rest, char separator) {
  const size_t end = rest->find(separator);
  const std::string_view part = bulkhead::trim_ows(rest->substr(0, end));
  *rest = end == std::string_view::npos ? std::string_view() : rest->substr(end + 1);
  return part;
}

double quality_of(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string parameter = bulkhead::lowered(take(&parameters, ';'));
    if (!parameter.starts_with("q=")) continue;
    double quality = 0;
    const auto parsed = std::from_chars(parameter.data() + 2, parameter.data() + parameter.size(), quality);
    return parsed.ec == std::errc() ? std::clamp(quality, 0.0, 1.0) : 0;
  }
  return 1;
}

}  // namespace

bool prefers_open_metrics(std::string_view accept) {
  double open = 0, plain = 0;
  while (!accept.empty()) {
    std::string_view range = take(&accept, ',');
    const std::string type = bulkhead::lowered(take(&range, ';'));
    const double quality = quality_of(range);
    if (type == "application/openmetrics-text") open = std::max(open, quality);
    if (type == "text/plain") plain = std::max(plain, quality);
  }
  return open > 0 && open >= plain;
}

}  // namespace metrics
