// What a collector answers, in either form, and its Retry-After.
#include "delivery.hpp"
#include "fuzz.hpp"
#include "otlp.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool json : {true, false})
    fuzz::expect(tracing::parse_partial_success(text, json).why.size() <= size, "a part of it");
  if (const auto wait = tracing::parse_retry_after(text, 0))
    fuzz::expect(wait->count() >= 0 && wait->count() <= 60'000, "within bounds");
  return 0;
}
