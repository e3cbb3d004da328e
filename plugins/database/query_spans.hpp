// Spans of queries, by OpenTelemetry's database semantic conventions (stable).
//
// A span lasts from when the work is handed over until it is answered: the wait for a session is
// part of it. Work that travels together has a span for each request, linked to that of the first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "outcome.hpp"
#include "url.hpp"

namespace database {

class QuerySpans {
 public:
  // Where there are `several` servers a span does not say which.
  QuerySpans(const bulkhead::Host& host, const Url& url, bool several);

  // `sql` is shown as it stands: values are never part of it.
  bulkhead::Span begin(bh_exchange* ex, std::string_view sql, const bulkhead::Span* parent = nullptr) const;
  bulkhead::Span begin_transaction(bh_exchange* ex) const;
  static void end(bulkhead::Span& span, const Outcome& outcome);
  // One of `size` that ran as one; `leader` is the context of the first, "" for that one itself.
  static void batched(bulkhead::Span& span, size_t size, std::string_view leader);

 private:
  bulkhead::Span begin_named(bh_exchange* ex, std::string_view name, const bulkhead::Span* parent) const;

  const bulkhead::Host host_;
  std::string_view system_;
  std::string name_space_, address_;
  int64_t port_ = 0;
};

// "SELECT", "people" of "select a from people where ..."; parts that are not found are empty.
struct StatementName {
  std::string_view operation, collection;
};
StatementName name_statement(std::string_view sql);

}  // namespace database
