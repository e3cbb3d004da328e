// Configuration: any text is read or refused with a place and a reason.
#include <string>

#include "core/config/model.hpp"
#include "core/config/units.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  bulkhead::config::Document document("fuzz.yaml", text);
  bulkhead::config::Config config;
  for (const bulkhead::config::Issue& issue : read_config(document, &config)) {
    fuzz::expect(!issue.message.empty(), "a reason");
    fuzz::expect(document.describe(issue).compare(0, 9, "fuzz.yaml") == 0, "the file's name");
  }
  bulkhead::config::parse_size(text);
  bulkhead::config::parse_duration_ms(text);
  return 0;
}
