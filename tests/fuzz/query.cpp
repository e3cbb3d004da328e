// The query string of GET /people: 400 with a reason, or a statement in which nothing of it stands.
#include "query.hpp"

#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const people::ListQuery query = people::ListQuery::parse(text);
    std::vector<bh_value> values;
    for (const int32_t dialect : {0, 1}) {
      std::string sql = query.sql(dialect, &values);
      static constexpr std::string_view kCollation = " collate \"C\"";
      for (size_t at = sql.find(kCollation); at != std::string::npos; at = sql.find(kCollation))
        sql.erase(at, kCollation.size());
      fuzz::expect(sql.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789 ,:=<>()") == std::string::npos,
                   "nothing but names and placeholders in the statement");
      fuzz::expect(query.limit >= 0 && query.limit <= people::ListQuery::kMaxLimit && query.offset >= 0, "bounds");
    }
    static_cast<void>(people::ListQuery::next("/people", text, "x"));
  } catch (const bulkhead::Problem& problem) {
    fuzz::expect(problem.status == 400 && !problem.detail.empty(), "a reason");
  }
  return 0;
}
