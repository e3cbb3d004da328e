#include "uuid.hpp"

#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

namespace people {

std::string random_uuid() {
  boost::uuids::random_generator_pure generate;  // from the system, so no seed can repeat
  return boost::uuids::to_string(generate());
}

std::string passenger_uuid(std::string_view id) {
  const boost::uuids::name_generator_sha1 generate(boost::uuids::ns::url());
  return boost::uuids::to_string(generate("urn:titanic:passenger:" + std::string(id)));
}

bool parse_uuid(std::string_view text, std::string* out) {
  if (text.size() != 36) return false;
  std::string lowered(text);
  for (size_t i = 0; i < lowered.size(); ++i) {
    char& c = lowered[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') return false;
      continue;
    }
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c | 0x20);
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  *out = std::move(lowered);
  return true;
}

}  // namespace people
