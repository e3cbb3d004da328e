#include "session.hpp"

#include <vector>

namespace database {

Outcome Session::execute_together(std::span<const bh_sql_query* const> queries, std::span<Outcome> outcomes) {
  std::vector<size_t> alone;
  Outcome all = attempt_together(queries, outcomes, &alone);
  if (all.status != BH_OK) return all;
  for (auto it = alone.begin(); it != alone.end(); ++it) {
    outcomes[*it] = execute(*queries[*it]);
    if (!outcomes[*it].lost && outcomes[*it].status != BH_E_TIMEOUT) continue;
    // The others have waited long enough, or no session can be asked.
    const Outcome rest = outcomes[*it].lost ? outcomes[*it] : unavailable("another write took too long");
    for (auto other = it + 1; other != alone.end(); ++other) outcomes[*other] = rest;
    return outcomes[*it].lost ? rest : Outcome{};
  }
  return {};
}

}  // namespace database
