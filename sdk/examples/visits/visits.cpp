// Counts visits of pages in the database: migrations, a coroutine step, a query.
#include <optional>
#include <string>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.hpp"
#include "visits_migrations.hpp"

class Visits : public bulkhead::Plugin {
 public:
  Visits(bulkhead::Host host, const bulkhead::Json& /*config*/) : Plugin(host) {
    post("/visits/{page}", &Visits::visit, R"({"summary": "Counts a visit.", "operationId": "visit"})");
  }
  // Services can be acquired from here on.
  void start() override {
    sql_.emplace(host());
    host().health(BH_STARTING, "waiting for the database");
    sql_->migrate("visits", visits_migrations::kMigrations, [this](const bulkhead::SqlResult& result) {
      host().health(result.ok() ? BH_READY : BH_FAILED, result.message);
    });
  }
  void quiesce() override { sql_->settle(); }
  void stop() override { sql_.reset(); }

 private:
  bulkhead::Task<bulkhead::Response> visit(bulkhead::Request request) {
    const bh_value page = bulkhead::sql_text(request.param("page"));
    const int32_t column = BH_INT;
    int64_t count = 0;
    const auto take = [&](std::span<const bh_value> cells) { count = cells[0].as.i; };
    auto query = sql_->query({.sql = "insert into visits values (:page, 1) on conflict (page) do update set count = "
                                     "visits.count + 1 returning count",
                              .values = {&page, 1},
                              .columns = {&column, 1},
                              .deadline_ns = request.deadline_ns(),
                              .ex = request.handle()},
                             take);
    const bulkhead::SqlResult result = co_await query;
    bulkhead::require(result);
    co_return bulkhead::json(200, bulkhead::Json{{"page", request.param("page")}, {"visits", count}});
  }

  std::optional<bulkhead::Sql> sql_;
};

constexpr bh_need kNeeds[] = {bulkhead::service(BH_SQL_ID, BH_SQL_VERSION)};
constexpr bh_str kGrants[] = {bulkhead::to_str("service:bh.sql")};

BULKHEAD_PLUGIN(Visits, "visits", "1.0.0", "Counts visits of pages.", .needs = kNeeds, .grants = kGrants)
