// Filter: which requests have a line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace accesslog {

struct Rule {
  std::string route;   // glob over route patterns; "*" = every one and none
  std::string method;  // "" = any
  int status_from = 0, status_to = 599;
  uint64_t slower_than_ns = 0;
  double sample = 1;  // share of them
};

// "404", "5xx", "400-499", "" (any): the range it stands for. False where it is none.
bool parse_statuses(std::string_view text, int* from, int* to);

// The share of such requests that the first rule that fits wants; 1 where none does.
double share_of(const std::vector<Rule>& rules, std::string_view route, std::string_view method, int status,
                uint64_t duration_ns);

}  // namespace accesslog
