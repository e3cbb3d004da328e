#include <algorithm>
#include <string>

#include "bulkhead/text/fields.hpp"
#include "exposition.hpp"

namespace metrics {

bool prefers_open_metrics(std::string_view accept) {
  double open = 0, plain = 0;
  bulkhead::for_each_weighted(accept, [&](const std::string& type, double quality) {
    if (type == "application/openmetrics-text") open = std::max(open, quality);
    if (type == "text/plain") plain = std::max(plain, quality);
  });
  return open > 0 && open >= plain;
}

}  // namespace metrics
