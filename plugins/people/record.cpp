#include "record.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "bulkhead/text/json.hpp"
#include "bulkhead/text/json_string.hpp"
#include "bulkhead/text/nearest.hpp"
#include "uuid.hpp"

namespace people {

using bulkhead::FieldError;
using bulkhead::Json;

const Field* find_field(std::string_view name) {
  const auto it =
      std::find_if(std::begin(kFields), std::end(kFields), [&](const Field& field) { return field.name == name; });
  return it == std::end(kFields) ? nullptr : it;
}

std::vector<std::string> field_names() {
  std::vector<std::string> names;
  for (const Field& field : kFields) names.emplace_back(field.name);
  return names;
}

namespace {

bh_value optional_text(const std::optional<std::string>& text) {
  return text ? bulkhead::sql_text(*text) : bulkhead::sql_null();
}
bh_value optional_real(const std::optional<double>& real) {
  return real ? bulkhead::sql_real(*real) : bulkhead::sql_null();
}

size_t characters(std::string_view utf8) {
  return static_cast<size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// Reads the fields of one body and collects what is wrong with them.
class Reader {
 public:
  Reader(const Json& body, std::vector<FieldError>* errors) : body_(body), errors_(*errors) {}

  void error(std::string_view name, std::string detail) {
    errors_.push_back({"/" + std::string(name), std::move(detail)});
  }

  const Json* required(std::string_view name) {
    const auto it = body_.find(name);
    if (it != body_.end()) return &*it;
    error(name, "is required");
    return nullptr;
  }
  const Json* optional(std::string_view name) const {
    const auto it = body_.find(name);
    return it == body_.end() || it->is_null() ? nullptr : &*it;
  }
  void boolean(std::string_view name, bool* out) {
    const Json* value = required(name);
    if (value == nullptr) return;
    if (value->is_boolean())
      *out = value->get<bool>();
    else if (value->is_number_integer() && (*value == 0 || *value == 1))
      *out = *value == 1;
    else
      error(name, "must be true or false (0 and 1 are taken as well)");
  }
  void integer(std::string_view name, int64_t low, int64_t high, int64_t* out) {
    const Json* value = required(name);
    if (value == nullptr) return;
    const bool whole = value->is_number_integer() ||
                       (value->is_number_float() && std::trunc(value->get<double>()) == value->get<double>());
    if (!whole) return error(name, "must be a whole number");
    const double number = value->get<double>();
    if (number < static_cast<double>(low) || number > static_cast<double>(high))
      return error(name, "must be from " + std::to_string(low) + " to " + std::to_string(high));
    *out = static_cast<int64_t>(number);
  }
  void real(std::string_view name, int64_t high, std::optional<double>* out) {
    const Json* value = optional(name);
    if (value == nullptr) return;
    if (!value->is_number()) return error(name, "must be a number or null");
    const double number = value->get<double>();
    if (!(number >= 0 && number <= static_cast<double>(high)))
      return error(name, "must be from 0 to " + std::to_string(high));
    *out = number + 0.0;  // no negative zero
  }
  // False where it is no text or holds NUL, which no database stores.
  bool text(std::string_view name, const Json& value, std::string* out) {
    if (!value.is_string()) {
      error(name, "must be a string");
      return false;
    }
    *out = trim(value.get_ref<const std::string&>());
    if (out->find('\0') == std::string::npos) return true;
    error(name, "must not hold the character U+0000");
    return false;
  }
  void optional_text(std::string_view name, std::optional<std::string>* out) {
    std::string value;
    const Json* found = optional(name);
    if (found == nullptr || !text(name, *found, &value)) return;
    if (characters(value) > 200) return error(name, "must have at most 200 characters");
    *out = std::move(value);
  }

 private:
  const Json& body_;
  std::vector<FieldError>& errors_;
};

}  // namespace

std::vector<bh_value> Person::values() const {
  return {bulkhead::sql_bool(survived), bulkhead::sql_int(passenger_class),
          bulkhead::sql_text(name),     bulkhead::sql_text(sex),
          optional_real(age),           bulkhead::sql_int(siblings),
          bulkhead::sql_int(parents),   optional_real(fare),
          optional_text(ticket),        optional_text(cabin),
          optional_text(embarked)};
}

std::string unknown_name(std::string_view name) {
  const std::string near = bulkhead::nearest(name, field_names());
  if (!near.empty()) return "is not a field, did you mean '" + near + "'";
  std::string text = "is not a field; the fields are";
  for (const Field& field : kFields) text += (&field == std::begin(kFields) ? " " : ", ") + std::string(field.name);
  return text;
}

std::vector<FieldError> read_person(const Json& body, std::string_view uuid, Person* person) {
  std::vector<FieldError> errors;
  if (!body.is_object()) return {{"", "must be an object with the fields of one record"}};
  Reader in(body, &errors);
  for (const auto& [name, unused] : body.items()) {
    if (find_field(name) != nullptr) continue;
    errors.push_back({"/" + bulkhead::json_pointer_token(name), unknown_name(name)});
  }
  std::string given;
  if (const auto it = body.find("uuid");
      it != body.end() &&
      (uuid.empty() || !it->is_string() || !parse_uuid(it->get<std::string>(), &given) || given != uuid))
    in.error("uuid",
             uuid.empty() ? "is made by the server; leave it out" : "must equal the uuid of the path, or be left out");
  person->uuid = uuid;
  in.boolean("survived", &person->survived);
  in.integer("passengerClass", 1, 3, &person->passenger_class);
  if (const Json* name = in.required("name"); name != nullptr && in.text("name", *name, &person->name))
    if (const size_t n = characters(person->name); n < 1 || n > 200) in.error("name", "must have 1 to 200 characters");
  if (const Json* sex = in.required("sex"); sex != nullptr && in.text("sex", *sex, &person->sex))
    if (person->sex != "male" && person->sex != "female" && person->sex != "other")
      in.error("sex", "must be male, female or other");
  in.real("age", 150, &person->age);
  in.integer("siblingsOrSpousesAboard", 0, 100, &person->siblings);
  in.integer("parentsOrChildrenAboard", 0, 100, &person->parents);
  in.real("fare", 100'000, &person->fare);
  in.optional_text("ticket", &person->ticket);
  in.optional_text("cabin", &person->cabin);
  in.optional_text("embarked", &person->embarked);
  if (person->embarked && *person->embarked != "C" && *person->embarked != "Q" && *person->embarked != "S")
    in.error("embarked", "must be C, Q, S or null");
  return errors;
}

// ----------------------------------------------------------------- writing

namespace {

void write_number(int64_t number, std::string* out) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out->append(digits, static_cast<size_t>(end - digits));
}

// The shortest text that reads as the same number, never with an exponent.
void write_number(double number, std::string* out) {
  char digits[400];
  const auto end = std::to_chars(digits, digits + sizeof digits, number, std::chars_format::fixed).ptr;
  out->append(digits, static_cast<size_t>(end - digits));
}

void write_cell(const Field& field, const bh_value& cell, std::string* out) {
  switch (cell.kind) {
    case BH_BOOL:
      *out += cell.as.i != 0 ? "true" : "false";
      break;
    case BH_INT:
      write_number(cell.as.i, out);
      break;
    case BH_REAL: {
      const size_t begin = out->size();
      write_number(cell.as.r, out);
      // Money always has a fraction, an age only where it has one.
      if (field.name == "fare" && out->find('.', begin) == std::string::npos) *out += ".0";
      break;
    }
    case BH_TEXT:
      bulkhead::append_json_string(bulkhead::to_view(cell.as.s), out);
      break;
    default:
      *out += "null";
  }
}

// What stands before each value: `{"uuid":`, `,"survived":`, and so on.
const auto kNames = [] {
  std::array<std::string, std::size(kFields)> names;
  for (size_t i = 0; i < names.size(); ++i) names[i] = (i == 0 ? "{\"" : ",\"") + std::string(kFields[i].name) + "\":";
  return names;
}();

}  // namespace

void write_record(std::span<const bh_value> cells, std::string* out) {
  for (size_t i = 0; i < cells.size(); ++i) {
    *out += kNames[i];
    write_cell(kFields[i], cells[i], out);
  }
  *out += '}';
}

void write_record(const Person& person, std::string* out) {
  std::vector<bh_value> cells{bulkhead::sql_text(person.uuid)};
  const std::vector<bh_value> rest = person.values();
  cells.insert(cells.end(), rest.begin(), rest.begin() + (kShown - 1));
  write_record(cells, out);
}

}  // namespace people
