// Passengers from CSV (RFC 4180), in both shapes the data set is shipped in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "record.hpp"

namespace people {

// Throws bulkhead::Failure naming the line of the first fault.
//   891 rows: PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Parch,Ticket,Fare,Cabin,Embarked
//   887 rows: Survived,Pclass,Name,Sex,Age,Siblings/Spouses Aboard,Parents/Children Aboard,Fare
// Each row's uuid is fixed by its PassengerId, or by its number where the file has none.
std::vector<Person> parse_csv(std::string_view text);
std::vector<Person> read_csv(const std::string& path);

}  // namespace people
