// A passenger from JSON: refused with a pointer for each fault, or written again as the same
// record.
#include "record.hpp"

#include "bulkhead/text/fields.hpp"
#include "conditions.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  bulkhead::etag_matches(body, "\"1\"", true);
  std::string lower;
  bulkhead::Json json;
  try {
    json = people::parse_body(body).value;
  } catch (const bulkhead::Problem& problem) {
    fuzz::expect((problem.status == 400 || problem.status == 422) && !problem.detail.empty(), "a reason");
    return 0;
  }
  people::Person person;
  if (!people::read_person(json, "", &person).empty()) return 0;
  person.uuid = "73ef066a-5fec-5354-981b-d59049b1ea2c";
  std::string written;
  people::write_record(person, &written);
  people::Person again;
  fuzz::expect(people::read_person(people::parse_body(written).value, person.uuid, &again).empty(),
               "its own answer is valid");
  fuzz::expect(again.name == person.name && again.age == person.age && again.fare == person.fare, "the same record");
  return 0;
}
