// Routes: patterns from the first lines, a path from the last one.
#include <array>
#include <string>
#include <vector>

#include "bulkhead/text/glob.hpp"
#include "bulkhead/value.hpp"
#include "core/chain/router.hpp"
#include "fuzz.hpp"

namespace chain = bulkhead::chain;

namespace {
std::string_view as_is(void* /*context*/, std::string_view segment) { return segment; }
}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  chain::Router router;
  std::vector<std::string_view> added;
  while (text.find('\n') != std::string_view::npos) {
    const std::string_view pattern = text.substr(0, text.find('\n'));
    text.remove_prefix(pattern.size() + 1);
    if (router.add("GET", pattern, nullptr).empty()) added.push_back(pattern);
  }
  std::array<bh_pair, 16> params{};
  size_t count = 0;
  for (const std::string_view pattern : added) {  // a pattern is a path that it matches, unless a literal wins
    const chain::Endpoint* found = router.match(pattern, params, &count, as_is, nullptr);
    fuzz::expect(found != nullptr, "a pattern matches itself");
    if (pattern.find('{') == std::string_view::npos) fuzz::expect(found->pattern == pattern, "a literal wins");
    fuzz::expect(count == found->params.size(), "a value for each parameter");
  }
  const chain::Endpoint* found = router.match(text, params, &count, as_is, nullptr);
  if (found != nullptr) {
    size_t slashes = 0, wanted = 0;
    for (const char c : text) slashes += c == '/';
    for (const char c : found->pattern) wanted += c == '/';
    fuzz::expect(slashes == wanted, "as many segments as the pattern has");
    for (size_t i = 0; i < count; ++i) fuzz::expect(params[i].value.len != 0, "a parameter is not empty");
    fuzz::expect(bulkhead::glob_match("", found->pattern) && bulkhead::glob_match("*", found->pattern),
                 "globs for all");
  }
  if (!added.empty()) bulkhead::glob_match(added.front(), text);
  return 0;
}
