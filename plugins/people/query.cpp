#include "query.hpp"

#include "bulkhead/text/percent.hpp"
#include "uuid.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace people {

using bulkhead::Problem;

namespace {

constexpr std::array<std::string_view, 18> kOperators = {"eq",         "neq",   "gt",    "gte",    "lt",   "lte",
                                                         "like",       "ilike", "match", "imatch", "in",   "is",
                                                         "isdistinct", "fts",   "plfts", "phfts",  "wfts", "not"};

constexpr int64_t kHuge = INT64_MAX / 2;  // more than any table has; adding a limit to it is safe

int hex(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

// The host has refused a '%' without two hex digits.
std::string decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+')
      out += ' ';
    else if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else
      out += text[i];
  }
  return out;
}

bool valid_utf8(std::string_view text) {
  return bulkhead::Json::accept("\"" + [&] {
    std::string plain;
    for (const char c : text) plain += static_cast<unsigned char>(c) < 0x80 ? 'x' : c;
    return plain;
  }() + "\"");
}

int64_t whole(std::string_view name, const std::string& text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::result_out_of_range && at == end && text[0] != '-') return kHuge;
  if (error != std::errc() || at != end || value < 0)
    throw Problem(400, std::string(name) + " must be a whole number of 0 or more, not '" + text + "'.");
  return std::min(value, kHuge);
}

const Field& field_named(const std::string& name) {
  const Field* field = find_field(name);
  if (field == nullptr)
    throw Problem(
        400, "'" + name + "' " + unknown_name(name) + ". Besides fields, it takes order, limit, offset and cursor.");
  return *field;
}

Filter make_filter(const std::string& name, std::string value) {
  Filter filter{&field_named(name), {}, {}};
  if (const size_t dot = value.find('.'); dot != std::string::npos) {
    const std::string_view prefix = std::string_view(value).substr(0, dot);
    if (prefix == "eq")
      value.erase(0, dot + 1);
    else if (std::find(kOperators.begin(), kOperators.end(), prefix) != kOperators.end())
      throw Problem(400, name + ": the operator '" + std::string(prefix) + "' is not supported; write " + name +
                             "=VALUE for equality.");
  }
  const char* end = value.data() + value.size();
  switch (filter.field->kind) {
    case BH_BOOL:
      if (value != "true" && value != "false" && value != "0" && value != "1")
        throw Problem(400, name + " must be true or false, not '" + value + "'.");
      filter.value = bulkhead::sql_bool(value == "true" || value == "1");
      break;
    case BH_INT: {
      int64_t number = 0;
      if (const auto [at, error] = std::from_chars(value.data(), end, number);
          error != std::errc() || at != end || number < INT16_MIN || number > INT16_MAX)
        throw Problem(400, name + " must be a whole number, not '" + value + "'.");
      filter.value = bulkhead::sql_int(number);
      break;
    }
    case BH_REAL: {
      double number = 0;
      if (const auto [at, error] = std::from_chars(value.data(), end, number);
          error != std::errc() || at != end || !(number > -1e15 && number < 1e15))
        throw Problem(400, name + " must be a number, not '" + value + "'.");
      filter.value = bulkhead::sql_real(number);
      break;
    }
    default: {
      if (!valid_utf8(value) || value.find('\0') != std::string::npos)
        throw Problem(400, name + " is not valid UTF-8.");
      if (name == "uuid" && !parse_uuid(value, &value)) throw Problem(400, "'" + value + "' is not a UUID.");
      filter.text = std::move(value);
      filter.value = bulkhead::sql_text("");
    }
  }
  return filter;
}

void parse_order(const std::string& text, std::vector<OrderTerm>* order) {
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    std::string term = text.substr(at, comma - at);
    at = comma + 1;
    const size_t dot = term.find('.');
    const std::string name = term.substr(0, dot);
    if (name.empty()) throw Problem(400, "order is a list of fields, as in order=age.desc.nullslast,name.");
    OrderTerm out{&field_named(name)};
    if (std::any_of(order->begin(), order->end(), [&](const OrderTerm& each) { return each.field == out.field; }))
      throw Problem(400, "order names " + name + " twice.");
    bool nulls_given = false;
    for (size_t from = dot; from != std::string::npos;) {
      const size_t next = term.find('.', from + 1);
      const std::string word = term.substr(from + 1, next == std::string::npos ? next : next - from - 1);
      from = next;
      if (word == "asc" || word == "desc") {
        out.descending = word == "desc";
      } else if (word == "nullsfirst" || word == "nullslast") {
        out.nulls_first = word == "nullsfirst";
        nulls_given = true;
      } else {
        throw Problem(400, "order: '" + word + "' is not asc, desc, nullsfirst or nullslast.");
      }
    }
    if (!nulls_given) out.nulls_first = out.descending;
    order->push_back(out);
  }
}

template <typename Each>
void for_parameters(std::string_view query, Each each) {
  while (!query.empty()) {
    const size_t ampersand = query.find('&');
    const std::string_view pair = query.substr(0, ampersand);
    if (!pair.empty()) {
      const size_t equals = pair.find('=');
      each(decode(pair.substr(0, equals)),
           equals == std::string_view::npos ? std::string() : decode(pair.substr(equals + 1)), pair);
    }
    if (ampersand == std::string_view::npos) return;
    query.remove_prefix(ampersand + 1);
  }
}

}  // namespace

ListQuery ListQuery::parse(std::string_view query) {
  ListQuery out;
  std::optional<std::string> cursor;
  for_parameters(query, [&](const std::string& name, const std::string& value, std::string_view) {
    if (name == "limit")
      out.limit = std::min(whole(name, value), kMaxLimit);
    else if (name == "offset")
      out.offset = whole(name, value);
    else if (name == "cursor")
      cursor = value;
    else if (name == "order")
      parse_order(value, &out.order);
    else
      out.filters.push_back(make_filter(name, value));
  });
  if (cursor) out.after = Cursor::decode(*cursor, out.order);
  return out;
}

std::vector<int32_t> ListQuery::columns() const {
  std::vector<int32_t> kinds;
  for (size_t i = 0; i < kShown; ++i) kinds.push_back(kFields[i].kind);
  for (const OrderTerm& term : order) kinds.push_back(term.field->kind);
  kinds.push_back(BH_INT);
  return kinds;
}

std::string ListQuery::cursor_behind(std::span<const bh_value> cells) const {
  return Cursor::encode(order, cells.subspan(kShown));
}

std::string ListQuery::sql(int32_t dialect, std::vector<bh_value>* values) const {
  std::string text = "select ";
  for (size_t i = 0; i < kShown; ++i) text += (i == 0 ? "" : ", ") + std::string(kFields[i].column);
  for (const OrderTerm& term : order) text += ", " + std::string(term.field->column);
  text += ", id from people where deleted_at is null";
  for (size_t i = 0; i < filters.size(); ++i) {
    const Filter& filter = filters[i];
    text += " and " + ordered_column(*filter.field, dialect) + " = :f" + std::to_string(i);
    values->push_back(filter.field->kind == BH_TEXT ? bulkhead::sql_text(filter.text) : filter.value);
  }
  if (after) text += " and " + after->condition(order, dialect, values);
  text += " order by ";
  for (const OrderTerm& term : order) {
    text += ordered_column(*term.field, dialect);
    text += term.descending ? " desc" : " asc";
    text += term.nulls_first ? " nulls first, " : " nulls last, ";
  }
  text += "id limit :limit offset :offset";
  values->push_back(bulkhead::sql_int(limit));
  values->push_back(bulkhead::sql_int(offset));
  return text;
}

std::string ListQuery::next(std::string_view path, std::string_view query, std::string_view cursor) {
  std::string target = bulkhead::percent_encode_target(path);
  char separator = '?';
  for_parameters(query, [&](const std::string& name, const std::string&, std::string_view raw) {
    if (name == "offset" || name == "cursor") return;
    target += separator;
    target += bulkhead::percent_encode_target(raw);
    separator = '&';
  });
  return target + separator + "cursor=" + std::string(cursor);
}

}  // namespace people
