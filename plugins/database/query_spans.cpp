#include "query_spans.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "bulkhead/status.hpp"

namespace database {

namespace {

constexpr std::string_view kBetween = " \t\r\n(),;";

bool same_word(std::string_view word, std::string_view lower) {
  return word.size() == lower.size() &&
         std::equal(word.begin(), word.end(), lower.begin(), [](char a, char b) { return (a | 0x20) == b; });
}

std::string_view next_word(std::string_view* text) {
  const size_t begin = text->find_first_not_of(kBetween);
  if (begin == std::string_view::npos) return *text = {};
  const size_t end = std::min(text->find_first_of(kBetween, begin), text->size());
  const std::string_view word = text->substr(begin, end - begin);
  text->remove_prefix(end);
  return word;
}

}  // namespace

StatementName name_statement(std::string_view sql) {
  struct Known {
    std::string_view lower, upper, before_name;
  };
  constexpr std::array<Known, 5> kKnown = {{{"select", "SELECT", "from"},
                                            {"insert", "INSERT", "into"},
                                            {"update", "UPDATE", "update"},
                                            {"delete", "DELETE", "from"},
                                            {"with", "WITH", ""}}};
  const std::string_view first = next_word(&sql);
  const auto* known =
      std::find_if(kKnown.begin(), kKnown.end(), [first](const Known& each) { return same_word(first, each.lower); });
  if (known == kKnown.end()) return {};
  if (known->before_name.empty()) return {known->upper, {}};
  std::string_view word = first;
  while (!word.empty() && !same_word(word, known->before_name)) word = next_word(&sql);
  const size_t name = sql.find_first_not_of(" \t\r\n");
  if (name == std::string_view::npos || sql[name] == '(') return {known->upper, {}};  // a subquery
  return {known->upper, next_word(&sql)};
}

QuerySpans::QuerySpans(const bulkhead::Host& host, const Url& url, bool several) : host_(host) {
  system_ = url.backend->system;
  name_space_ = url.path;
  for (const auto& [key, value] : url.keywords) {
    if (key == "dbname") name_space_ = value;
    if (several || value.find(',') != std::string::npos) continue;  // it may be any of them
    if (key == "host") address_ = value;
    if (key == "port") port_ = std::strtol(value.c_str(), nullptr, 10);
  }
}

bulkhead::Span QuerySpans::begin_named(bh_exchange* ex, std::string_view name, const bulkhead::Span* parent) const {
  bulkhead::Span span = host_.span(name, BH_SPAN_CLIENT, ex, parent);
  span.tag("db.system.name", system_);
  if (!name_space_.empty()) span.tag("db.namespace", name_space_);
  if (!address_.empty()) span.tag("server.address", address_);
  if (port_ != 0) span.tag("server.port", port_);
  return span;
}

bulkhead::Span QuerySpans::begin(bh_exchange* ex, std::string_view sql, const bulkhead::Span* parent) const {
  const StatementName name = name_statement(sql);
  std::string summary(name.operation.empty() ? system_ : name.operation);
  if (!name.collection.empty()) summary.append(" ").append(name.collection);
  bulkhead::Span span = begin_named(ex, summary, parent);
  if (!name.operation.empty()) span.tag("db.operation.name", name.operation);
  if (!name.collection.empty()) span.tag("db.collection.name", name.collection);
  span.tag("db.query.text", sql);
  return span;
}

bulkhead::Span QuerySpans::begin_transaction(bh_exchange* ex) const { return begin_named(ex, "transaction", nullptr); }

void QuerySpans::end(bulkhead::Span& span, const Outcome& outcome) {
  if (outcome.status != BH_OK) {
    if (!outcome.sqlstate.empty()) span.tag("db.response.status_code", outcome.sqlstate);
    span.tag("error.type",
             outcome.sqlstate.empty() ? bulkhead::status_text(outcome.status) : std::string_view(outcome.sqlstate));
  }
  span.end(outcome.status);
}

void QuerySpans::batched(bulkhead::Span& span, size_t size, std::string_view leader) {
  if (size < 2) return;
  span.tag("db.operation.batch.size", static_cast<int64_t>(size));
  if (!leader.empty()) span.link(leader);
}

}  // namespace database
