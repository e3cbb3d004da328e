// UUIDs (RFC 9562): random ones for new records, name-based ones for the shipped data.
#pragma once

#include <string>
#include <string_view>

namespace people {

std::string random_uuid();  // version 4
// Version 5 of urn:titanic:passenger:<id> in the URL namespace.
std::string passenger_uuid(std::string_view id);
// True for 8-4-4-4-12 hex digits; `out` gets them in lower case.
bool parse_uuid(std::string_view text, std::string* out);

}  // namespace people
