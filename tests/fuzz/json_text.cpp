// JSON from outside: what is taken is what nlohmann::json reads too, what is refused names a
// reason, and what is built keeps within the rules.
#include "bulkhead/text/json.hpp"

#include "fuzz.hpp"

namespace {

using bulkhead::JsonError;
using nlohmann::json;

size_t values_in(const json& value) {
  size_t count = 1;
  if (value.is_structured())
    for (const json& each : value) count += values_in(each);
  return count;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const json theirs = json::parse(text, nullptr, false);
  const bool nul = text.find('\0') != std::string_view::npos;
  try {
    const bulkhead::JsonDocument ours = bulkhead::parse_json(text, {.values = 1'000});
    fuzz::expect(!nul && !theirs.is_discarded(), "what others refuse is refused");
    fuzz::expect(ours.value == theirs, "the same document");
    fuzz::expect(values_in(ours.value) <= 1'000 && ours.unknown_count == 0, "within the rules");
  } catch (const JsonError& error) {
    fuzz::expect(!error.message.empty() && json::accept(json(error.message).dump()), "a reason in UTF-8");
    fuzz::expect(error.message.size() < 1'000 && error.pointer.size() < 32 * 500, "a short one");
    fuzz::expect(nul || theirs.is_discarded() || error.kind != JsonError::Kind::kSyntax, "what is JSON is read");
  }
  static constexpr std::string_view kMembers[] = {"a", "name"};
  try {
    const bulkhead::JsonDocument flat = bulkhead::parse_json(text, {.kept = 1, .members = kMembers});
    if (!flat.value.is_structured()) return 0;
    fuzz::expect(!flat.value.is_object() || flat.value.size() <= 2, "only the members asked for");
    for (const json& each : flat.value) fuzz::expect(!each.is_structured() || each.empty(), "nothing below");
    fuzz::expect(!flat.value.is_object() || flat.value.size() + flat.unknown_count >= theirs.size(), "all are counted");
    fuzz::expect(flat.unknown.size() <= bulkhead::JsonDocument::kMostUnknown, "few are listed");
  } catch (const JsonError&) {
  }
  return 0;
}
