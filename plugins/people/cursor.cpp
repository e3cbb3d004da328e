#include "cursor.hpp"

#include "bulkhead/text/base64url.hpp"
#include "bulkhead/text/json.hpp"
#include "uuid.hpp"

namespace people {

using bulkhead::Json;
using bulkhead::Problem;

namespace {

std::string name_of(const std::vector<OrderTerm>& order) {
  std::string name;
  for (const OrderTerm& term : order) {
    name += term.field->name;
    name += term.descending ? (term.nulls_first ? "<" : "<>") : (term.nulls_first ? "><" : ">");
  }
  return name;
}

bool nullable(const Field& field) {
  return field.name == "age" || field.name == "fare" || field.name == "ticket" || field.name == "cabin" ||
         field.name == "embarked";
}

}  // namespace

std::string ordered_column(const Field& field, int32_t dialect) {
  std::string column(field.column);
  if (dialect == BH_SQL_POSTGRESQL && field.kind == BH_TEXT && field.name != "uuid") column += " collate \"C\"";
  return column;
}

bh_value Cursor::Value::bound() const {
  switch (kind) {
    case BH_INT:
      return bulkhead::sql_int(integer);
    case BH_BOOL:
      return bulkhead::sql_bool(integer != 0);
    case BH_REAL:
      return bulkhead::sql_real(real);
    case BH_TEXT:
      return bulkhead::sql_text(text);
    default:
      return bulkhead::sql_null();
  }
}

std::string Cursor::encode(const std::vector<OrderTerm>& order, std::span<const bh_value> cells) {
  Json list = Json::array({name_of(order)});
  for (const bh_value& cell : cells) {
    if (cell.kind == BH_NULL)
      list.push_back(nullptr);
    else if (cell.kind == BH_REAL)
      list.push_back(cell.as.r);
    else if (cell.kind == BH_TEXT)
      list.push_back(bulkhead::to_view(cell.as.s));
    else
      list.push_back(cell.as.i);
  }
  return bulkhead::to_base64url(list.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Cursor Cursor::decode(std::string_view text, const std::vector<OrderTerm>& order) {
  const auto refuse = [] { return Problem(400, "The cursor does not come from a Link of this list in this order."); };
  std::string plain;
  if (!bulkhead::from_base64url(text, &plain)) throw refuse();
  Json list;
  try {
    list = bulkhead::parse_json(plain, {.depth = 1, .values = order.size() + 3}).value;
  } catch (const bulkhead::JsonError&) {
    throw refuse();
  }
  if (!list.is_array() || list.size() != order.size() + 2 || list[0] != name_of(order)) throw refuse();
  Cursor cursor;
  for (size_t i = 0; i < order.size() + 1; ++i) {
    const Json& item = list[i + 1];
    const int32_t kind = i < order.size() ? order[i].field->kind : int32_t{BH_INT};
    Value value;
    value.kind = kind;
    if (item.is_null()) {
      if (i == order.size() || !nullable(*order[i].field)) throw refuse();
      value.kind = BH_NULL;
    } else if (kind == BH_TEXT && item.is_string()) {
      value.text = item.get<std::string>();
      if (value.text.find('\0') != std::string::npos) throw refuse();
      if (order[i].field->name == "uuid" && !parse_uuid(value.text, &value.text)) throw refuse();
    } else if (kind == BH_REAL && item.is_number()) {
      value.real = item.get<double>();
    } else if ((kind == BH_INT || kind == BH_BOOL) && item.is_number_integer() &&
               !(item.is_number_unsigned() && item.get<uint64_t>() > INT64_MAX)) {
      value.integer = item.get<int64_t>();
    } else {
      throw refuse();
    }
    if (i < order.size() && (value.integer > INT16_MAX || value.integer < INT16_MIN)) throw refuse();
    cursor.values_.push_back(std::move(value));
  }
  return cursor;
}

// (t1 after v1) or (t1 = v1 and ((t2 after v2) or (t2 = v2 and … id > v))). Before it stands the
// bound of the first term alone, which an index can begin at.
std::string Cursor::condition(const std::vector<OrderTerm>& order, int32_t dialect,
                              std::vector<bh_value>* values) const {
  size_t count = 0;
  const auto bind = [&](const Value& value) {
    values->push_back(value.bound());
    return ":c" + std::to_string(count++);
  };
  std::string text;
  if (!order.empty() && !nullable(*order[0].field))
    text =
        ordered_column(*order[0].field, dialect) + (order[0].descending ? " <= " : " >= ") + bind(values_[0]) + " and ";
  std::string closing;
  for (size_t i = 0; i < order.size(); ++i) {
    const OrderTerm& term = order[i];
    const Value& value = values_[i];
    const std::string column = ordered_column(*term.field, dialect);
    const bool null = value.kind == BH_NULL;
    std::string after, equal;
    if (null) {
      after = term.nulls_first ? column + " is not null" : "";
      equal = column + " is null";
    } else {
      after = column + (term.descending ? " < " : " > ") + bind(value);
      if (!term.nulls_first && nullable(*term.field)) after += " or " + column + " is null";
      equal = column + " = " + bind(value);
    }
    text += '(';
    if (!after.empty()) text.append(after).append(" or ");
    text.append("(").append(equal).append(" and ");
    closing += "))";
  }
  return text + "id > " + bind(values_.back()) + closing;
}

}  // namespace people
