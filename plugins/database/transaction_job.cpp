#include "transaction_job.hpp"

namespace database {

bool TransactionJob::expire(uint64_t now_ns, const std::function<bool(bh_exchange*)>& /*left*/, Outcome* why) {
  if (now_ns <= deadline_ns) return false;
  *why = unavailable("waited too long for a session");
  return true;
}

Outcome TransactionJob::run(Session& session, bool /*of_primary*/) {
  Outcome outcome = session.begin(!changes());
  if (outcome.status != BH_OK) return outcome;
  began_ = true;
  session.last() = {};
  session.traced = {&spans_, &span_};
  const bh_status status = transaction_.run(transaction_.arg, session.handle());
  session.traced = {};
  if (status == BH_OK) {
    outcome = session.commit();
    if (outcome.status == BH_OK || outcome.lost) return outcome;
  } else {
    outcome = session.last();
    if (outcome.status == BH_OK) outcome.status = status;
    if (outcome.lost) return outcome;
  }
  session.rollback();
  return outcome;
}

void TransactionJob::finish(const Outcome& outcome) {
  QuerySpans::end(span_, outcome);
  const bh_sql_result result = result_of(outcome);
  transaction_.done(transaction_.arg, &result);
}

}  // namespace database
