// Fields with weights, and what is made of Accept-Encoding; entity tags in lists.
#include <algorithm>

#include "bulkhead/text/fields.hpp"
#include "coder.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  bool named = false;
  bulkhead::for_each_weighted(text, [&](const std::string& name, double quality) {
    fuzz::expect(quality >= 0 && quality <= 1 && !name.empty() && name.size() <= size, "a name and a weight");
    named = named || quality > 0;
  });
  const std::vector<std::string_view> codings(bulkhead::kContentCodings.begin(), bulkhead::kContentCodings.end());
  const std::string_view coding = compression::negotiate(text, codings);
  fuzz::expect(coding.empty() || std::find(codings.begin(), codings.end(), coding) != codings.end(), "one of ours");
  fuzz::expect(coding.empty() || named, "that somebody asked for");
  const std::string tag = "\"7\"";
  if (bulkhead::etag_matches(text, tag, false))
    fuzz::expect(bulkhead::etag_matches(text, tag, true), "weaker is wider");
  for (const std::string_view each : codings) {
    fuzz::expect(bulkhead::etag_matches(bulkhead::coded_etag(tag, each), tag, false), "its own coding");
    const std::string coded = compression::encode(each, text, {});
    fuzz::expect(coded.size() <= size, "never larger");
  }
  return 0;
}
