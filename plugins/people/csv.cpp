#include "csv.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>

#include "bulkhead/text/utf8.hpp"
#include "uuid.hpp"

namespace people {

using bulkhead::Failure;
using bulkhead::Json;

namespace {

// One record; false at the end. Quoted fields may hold commas, quotes and line ends.
bool next_row(std::string_view* text, size_t* line, std::vector<std::string>* row) {
  row->clear();
  if (text->empty()) return false;
  size_t i = 0;
  std::string field;
  bool quoted = false;
  for (;; ++i) {
    if (i == text->size()) {
      if (quoted) throw Failure(BH_E_INVALID, "line " + std::to_string(*line) + ": a quote is never closed");
      break;
    }
    const char c = (*text)[i];
    if (c == '\n') ++*line;
    if (quoted) {
      if (c != '"') {
        field += c;
      } else if (i + 1 < text->size() && (*text)[i + 1] == '"') {
        field += '"';
        ++i;
      } else {
        quoted = false;
      }
    } else if (c == '"' && field.empty()) {
      quoted = true;
    } else if (c == ',') {
      row->push_back(std::move(field));
      field.clear();
    } else if (c == '\n') {
      break;
    } else if (c != '\r') {
      field += c;
    }
  }
  row->push_back(std::move(field));
  text->remove_prefix(std::min(i + 1, text->size()));
  return true;
}

struct Column {
  std::string_view csv, field;
};
constexpr std::array<Column, 14> kColumns = {{{"Survived", "survived"},
                                              {"Pclass", "passengerClass"},
                                              {"Name", "name"},
                                              {"Sex", "sex"},
                                              {"Age", "age"},
                                              {"SibSp", "siblingsOrSpousesAboard"},
                                              {"Siblings/Spouses Aboard", "siblingsOrSpousesAboard"},
                                              {"Parch", "parentsOrChildrenAboard"},
                                              {"Parents/Children Aboard", "parentsOrChildrenAboard"},
                                              {"Fare", "fare"},
                                              {"Ticket", "ticket"},
                                              {"Cabin", "cabin"},
                                              {"Embarked", "embarked"},
                                              {"PassengerId", "uuid"}}};

// The text as the field's type; left as text where it is not one, so that the rules name the fault.
Json value_of(const Field& field, const std::string& text) {
  if (text.empty()) return nullptr;
  if (field.kind == BH_TEXT) return text;
  const char* end = text.data() + text.size();
  int64_t whole = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, whole); error == std::errc() && at == end)
    return whole;
  double real = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, real); error == std::errc() && at == end) return real;
  return text;
}

}  // namespace

std::vector<Person> parse_csv(std::string_view text) {
  if (const size_t wrong = bulkhead::find_invalid_utf8(text); wrong != std::string_view::npos) {
    const std::string_view before = text.substr(0, wrong);
    const size_t lines = static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
    const size_t column = wrong - (lines == 0 ? 0 : before.rfind('\n') + 1);
    static constexpr char kHex[] = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(text[wrong]);
    throw Failure(BH_E_INVALID, "line " + std::to_string(lines + 1) + ", column " + std::to_string(column + 1) +
                                    ": the byte 0x" + kHex[byte >> 4] + kHex[byte & 15] +
                                    " is not UTF-8; save the file in UTF-8");
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  size_t line = 1;
  std::vector<std::string> row;
  if (!next_row(&text, &line, &row)) throw Failure(BH_E_INVALID, "the file is empty");
  std::vector<std::string_view> fields;
  for (const std::string& name : row) {
    const auto it =
        std::find_if(kColumns.begin(), kColumns.end(), [&](const Column& column) { return column.csv == name; });
    if (it == kColumns.end()) throw Failure(BH_E_INVALID, "line 1: the column '" + name + "' is not known");
    fields.push_back(it->field);
  }
  std::vector<Person> people;
  while (true) {
    const size_t at = line;
    if (!next_row(&text, &line, &row)) return people;
    if (row.size() == 1 && row[0].empty()) continue;
    const std::string place = "line " + std::to_string(at) + ": ";
    if (row.size() != fields.size())
      throw Failure(BH_E_INVALID, place + "has " + std::to_string(row.size()) + " fields, the first line has " +
                                      std::to_string(fields.size()));
    Json body = Json::object();
    std::string uuid = passenger_uuid("row:" + std::to_string(people.size() + 1));
    for (size_t i = 0; i < row.size(); ++i) {
      if (fields[i] == "uuid")
        uuid = passenger_uuid(row[i]);
      else
        body[std::string(fields[i])] = value_of(*find_field(fields[i]), row[i]);
    }
    Person person;
    if (const auto errors = read_person(body, uuid, &person); !errors.empty())
      throw Failure(BH_E_INVALID, place + errors.front().pointer.substr(1) + " " + errors.front().detail);
    people.push_back(std::move(person));
  }
}

std::vector<Person> read_csv(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) throw Failure(BH_E_CONFIG, path + ": cannot be read");
  try {
    return parse_csv(text.str());
  } catch (const Failure& failure) {
    throw Failure(failure.code, path + ": " + failure.message);
  }
}

}  // namespace people
