// Passengers from CSV: all of them, or the line of the first fault.
#include "csv.hpp"

#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    for (const people::Person& person : people::parse_csv({reinterpret_cast<const char*>(data), size}))
      fuzz::expect(!person.name.empty() && person.uuid.size() == 36, "a whole passenger");
  } catch (const bulkhead::Failure& failure) {
    fuzz::expect(!failure.message.empty(), "a reason");
  }
  return 0;
}
