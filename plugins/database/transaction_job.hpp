// TransactionJob: several statements in a transaction, as bh_sql.transact's caller sends them.
#pragma once

#include "job.hpp"
#include "query_spans.hpp"

namespace database {

class TransactionJob final : public Job {
 public:
  TransactionJob(const bh_sql_transaction& transaction, const QuerySpans& spans)
      : transaction_(transaction), spans_(spans), span_(spans.begin_transaction(transaction.ex)) {
    deadline_ns = transaction.deadline_ns;
  }

  JobKind kind() const override { return JobKind::kTransaction; }
  std::string_view sql() const override { return "transaction"; }
  bh_exchange* exchange() const override { return transaction_.ex; }
  bulkhead::Span* span() override { return &span_; }
  bool changes() const override { return (transaction_.flags & BH_SQL_READ) == 0; }

  bool expire(uint64_t now_ns, const std::function<bool(bh_exchange*)>& left, Outcome* why) override;
  Outcome run(Session& session, bool of_primary) override;
  bool untouched(const Outcome& /*outcome*/) const override { return !began_; }
  void finish(const Outcome& outcome) override;
  void refuse(const Outcome& outcome) override { finish(outcome); }

 private:
  const bh_sql_transaction transaction_;
  const QuerySpans& spans_;
  bulkhead::Span span_;
  bool began_ = false;
};

}  // namespace database
