#include "migrations.hpp"

#include <algorithm>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.hpp"

namespace database {

using bulkhead::to_view;

namespace {

constexpr const char* kTable =
    "create table if not exists bulkhead_migrations (owner text not null, version integer not null, name text not "
    "null, "
    "applied_at timestamp not null default current_timestamp, primary key (owner, version))";

Outcome read_version(Session& session, const std::string& owner, int64_t* version) {
  const bh_value value = bulkhead::sql_text(owner);
  const int32_t column = BH_INT;
  bh_sql_query query = bulkhead::SqlQuery{
      .sql = "select coalesce(max(version), 0) from bulkhead_migrations where owner = :owner",
      .values = {&value, 1},
      .columns = {&column,
                  1}}.to_query();
  query.row = [](void* arg, const bh_value* cells, size_t) -> bh_status {
    *static_cast<int64_t*>(arg) = cells[0].as.i;
    return BH_OK;
  };
  query.arg = version;
  return session.execute(query);
}

Outcome record(Session& session, const std::string& owner, const Migrations::Step& step) {
  const bh_value values[] = {bulkhead::sql_text(owner), bulkhead::sql_int(step.version), bulkhead::sql_text(step.name)};
  return session.execute(bulkhead::SqlQuery{
      .sql = "insert into bulkhead_migrations (owner, version, name) values (:owner, :version, :name)",
      .values = values}
                             .to_query());
}

}  // namespace

std::string Migrations::add(const bh_sql_migrations& migrations) {
  Set set;
  set.owner = to_view(migrations.owner);
  set.done = migrations.done;
  set.arg = migrations.arg;
  for (size_t i = 0; i < migrations.count; ++i) {
    const bh_sql_migration& m = migrations.list[i];
    if (m.version != i + 1) return "migrations of " + set.owner + " are not numbered 1, 2, 3, ...";
    set.steps.push_back({m.version, std::string(to_view(m.name)), std::string(to_view(m.sql))});
  }
  if (std::any_of(sets_.begin(), sets_.end(), [&](const Set& other) { return other.owner == set.owner; }))
    return "migrations of " + set.owner + " are registered already";
  sets_.push_back(std::move(set));
  return {};
}

bool Migrations::pending() const {
  return std::any_of(sets_.begin(), sets_.end(), [](const Set& set) { return !set.applied && set.error.empty(); });
}

Outcome Migrations::apply(Session& session, const Backend& backend, const Set& set) {
  session.set_unbounded(true);
  struct Bounded {
    Session& session;
    ~Bounded() { session.set_unbounded(false); }
  } const bounded{session};
  while (true) {
    Outcome outcome = session.begin(false);
    auto then = [&](auto&& next) {
      if (outcome.status == BH_OK) outcome = next();
    };
    for (const std::string_view statement : backend.migration_lock()) then([&] { return session.script(statement); });
    then([&] { return session.script(kTable); });
    int64_t version = 0;
    then([&] { return read_version(session, set.owner, &version); });
    if (outcome.status == BH_OK && version > static_cast<int64_t>(set.steps.size())) {
      outcome.status = BH_E_STATE;
      outcome.message = "the database has version " + std::to_string(version) + " of " + set.owner +
                        ", newer than this program's " + std::to_string(set.steps.size()) + "; update the program";
    }
    const bool last = version >= static_cast<int64_t>(set.steps.size());
    if (!last) {
      const Step& step = set.steps[static_cast<size_t>(version)];
      then([&] { return session.script(step.sql); });
      then([&] { return record(session, set.owner, step); });
      if (outcome.status != BH_OK && !outcome.lost)
        outcome.message = "migration " + std::to_string(step.version) + " (" + step.name + ") of " + set.owner + ": " +
                          outcome.message;
    }
    then([&] { return session.commit(); });
    if (outcome.status != BH_OK) {
      if (!outcome.lost) session.rollback();
      return outcome;
    }
    if (last) return outcome;
  }
}

}  // namespace database
