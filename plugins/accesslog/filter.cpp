#include "filter.hpp"

#include <charconv>

#include "bulkhead/text/glob.hpp"

namespace accesslog {

namespace {

bool number(std::string_view text, int* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value >= 100 && *value <= 599;
}

}  // namespace

bool parse_statuses(std::string_view text, int* from, int* to) {
  if (text.empty()) {
    *from = 0;
    *to = 599;
    return true;
  }
  if (text.size() == 3 && text.substr(1) == "xx" && text[0] >= '1' && text[0] <= '5') {
    *from = (text[0] - '0') * 100;
    *to = *from + 99;
    return true;
  }
  const size_t dash = text.find('-');
  if (!number(text.substr(0, dash), from)) return false;
  *to = *from;
  return dash == std::string_view::npos || (number(text.substr(dash + 1), to) && *from <= *to);
}

double share_of(const std::vector<Rule>& rules, std::string_view route, std::string_view method, int status,
                uint64_t duration_ns) {
  for (const Rule& rule : rules)
    if (status >= rule.status_from && status <= rule.status_to && duration_ns >= rule.slower_than_ns &&
        (rule.method.empty() || rule.method == method) && bulkhead::glob_match(rule.route, route))
      return rule.sample;
  return 1;
}

}  // namespace accesslog
