#include "query_job.hpp"

namespace database {

using bulkhead::to_str;
using bulkhead::to_view;

QueryJob::QueryJob(const bh_sql_query& query, const QuerySpans& spans)
    : sql_(to_view(query.sql)),
      values_(query.values, query.values + query.value_count),
      columns_(query.columns, query.columns + query.column_count),
      query_(query),
      span_(spans.begin(query.ex, sql_)) {
  size_t texts = 0;
  for (const bh_value& value : values_) texts += value.kind == BH_TEXT ? 1 : 0;
  texts_.reserve(texts);
  for (bh_value& value : values_)
    if (value.kind == BH_TEXT) value.as.s = to_str(texts_.emplace_back(to_view(value.as.s)));
  query_.sql = to_str(sql_);
  query_.values = values_.data();
  query_.columns = columns_.data();
  deadline_ns = query.deadline_ns;
}

size_t QueryJob::bytes() const {
  size_t sum = 0;
  for (const std::string& text : texts_) sum += text.size();
  return sum;
}

bool QueryJob::expire(uint64_t now_ns, const std::function<bool(bh_exchange*)>& left, Outcome* why) {
  if (reads_alone() && left(query_.ex))
    *why = caller_left();
  else if (now_ns > deadline_ns)
    *why = unavailable("waited too long for a session");
  else
    return false;
  return true;
}

void QueryJob::finish(const Outcome& outcome) {
  QuerySpans::end(span_, outcome);
  const bh_sql_result result = result_of(outcome);
  query_.done(query_.arg, &result);
}

}  // namespace database
