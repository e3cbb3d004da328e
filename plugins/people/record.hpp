// A passenger record: its fields, its rules, its JSON.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.hpp"

namespace people {

// One field of the resource. The list below is the only place that knows names and columns.
struct Field {
  std::string_view name;    // in JSON and in queries
  std::string_view column;  // in SQL
  int32_t kind;             // BH_TEXT, BH_INT, BH_REAL, BH_BOOL
  bool shown;               // in an answer that does not select fields
};

inline constexpr Field kFields[] = {
    {"uuid", "uuid", BH_TEXT, true},
    {"survived", "survived", BH_BOOL, true},
    {"passengerClass", "passenger_class", BH_INT, true},
    {"name", "name", BH_TEXT, true},
    {"sex", "sex", BH_TEXT, true},
    {"age", "age", BH_REAL, true},
    {"siblingsOrSpousesAboard", "siblings_or_spouses_aboard", BH_INT, true},
    {"parentsOrChildrenAboard", "parents_or_children_aboard", BH_INT, true},
    {"fare", "fare", BH_REAL, true},
    {"ticket", "ticket", BH_TEXT, false},
    {"cabin", "cabin", BH_TEXT, false},
    {"embarked", "embarked", BH_TEXT, false},
};
inline constexpr size_t kShown = 9;  // the first so many are shown
inline constexpr auto kFieldNames = [] {
  std::array<std::string_view, std::size(kFields)> names;
  for (size_t i = 0; i < names.size(); ++i) names[i] = kFields[i].name;
  return names;
}();

const Field* find_field(std::string_view name);
std::vector<std::string> field_names();

struct Person {
  std::string uuid, name, sex;
  bool survived = false;
  int64_t passenger_class = 0, siblings = 0, parents = 0;
  std::optional<double> age, fare;
  std::optional<std::string> ticket, cabin, embarked;

  // Values for the columns from survived to embarked, in the order of kFields. They view this
  // record.
  std::vector<bh_value> values() const;
};

// "is not a field, did you mean ..."
std::string unknown_name(std::string_view name);

// Checks a whole record by the rules of the resource; every fault is one error. `uuid` is what the
// body's uuid may be, "" if it may have none.
std::vector<bulkhead::FieldError> read_person(const bulkhead::Json& body, std::string_view uuid, Person* person);

// Appends the record as JSON. `cells` are the columns of the first cells.size() fields.
void write_record(std::span<const bh_value> cells, std::string* out);
// The same from a checked record: the fields that are shown.
void write_record(const Person& person, std::string* out);

}  // namespace people
