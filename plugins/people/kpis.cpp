#include "kpis.hpp"

#include <string>

namespace people {

Kpis::Kpis(const bulkhead::Host& host) : host_(host) {
  static constexpr std::array<std::string_view, 8> kNames = {"read",    "list",   "search", "create",
                                                             "replace", "change", "remove", "restore"};
  static constexpr std::array<std::string_view, 1> kOperation = {"operation"};
  static constexpr std::array<std::string_view, 3> kClasses = {"1", "2", "3"};
  static constexpr std::array<std::string_view, 2> kGroup = {"passenger_class", "survived"};
  const uint32_t operations =
      host.metric(BH_COUNTER, "people_operations_total",
                  "Operations on passengers that succeeded; a search is a list with a filter. Cache hits are "
                  "not counted.",
                  kOperation);
  for (size_t i = 0; i < kNames.size(); ++i) operations_[i] = host.series(operations, {&kNames[i], 1});
  const uint32_t records = host.metric(BH_GAUGE, "people_records", "Passengers that are not deleted.", kGroup);
  for (const int64_t passenger_class : {1, 2, 3})
    for (const bool survived : {false, true})
      records_[{passenger_class, survived}] =
          host.series(records, std::array<std::string_view, 2>{kClasses[static_cast<size_t>(passenger_class) - 1],
                                                               survived ? "true" : "false"});
}

void Kpis::watch(const Store& store, uint64_t interval_s) {
  if (interval_s == 0) return;
  store_ = &store;
  refresh();
  timer_ = host_.every(interval_s * 1000, [this] { refresh(); });
}

void Kpis::refresh() {
  try {
    store_->count([this](const bulkhead::SqlResult& result, const Store::Counts& counts) {
      if (!result.ok()) return;  // the last ones stay
      for (const auto& [group, series] : records_) {
        const auto found = counts.find(group);
        host_.record(series, found == counts.end() ? 0 : static_cast<double>(found->second));
      }
    });
  } catch (const bulkhead::Failure&) {  // the database takes no work now
  }
}

}  // namespace people
