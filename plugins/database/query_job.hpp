// QueryJob: one statement of bh_sql.submit.
#pragma once

#include <string>
#include <vector>

#include "job.hpp"
#include "query_spans.hpp"

namespace database {

class QueryJob final : public Job {
 public:
  // Copies what the query views.
  QueryJob(const bh_sql_query& query, const QuerySpans& spans);

  JobKind kind() const override { return kind_of(sql_); }
  std::string_view sql() const override { return sql_; }
  bh_exchange* exchange() const override { return query_.ex; }
  bool changes() const override { return !reads_alone(); }
  bool reads_alone() const override { return (query_.flags & BH_SQL_READ) != 0; }
  const bh_sql_query* write() const override { return reads_alone() ? nullptr : &query_; }
  size_t bytes() const override;
  bulkhead::Span* span() override { return &span_; }

  bool expire(uint64_t now_ns, const std::function<bool(bh_exchange*)>& left, Outcome* why) override;
  Outcome run(Session& session, bool /*of_primary*/) override { return session.execute(query_); }
  bool untouched(const Outcome& outcome) const override { return reads_alone() && outcome.rows == 0; }
  void finish(const Outcome& outcome) override;
  void refuse(const Outcome& outcome) override { finish(outcome); }

 private:
  const std::string sql_;
  std::vector<bh_value> values_;
  std::vector<std::string> texts_;  // what the text values view
  std::vector<int32_t> columns_;
  bh_sql_query query_;
  bulkhead::Span span_;
};

}  // namespace database
