#include "job.hpp"

namespace database {

JobKind kind_of(std::string_view sql) {
  const size_t start = sql.find_first_not_of(" \n(");
  switch (start == std::string_view::npos ? '\0' : sql[start] | 0x20) {
    case 'i':
      return JobKind::kInsert;
    case 'u':
      return JobKind::kUpdate;
    case 'd':
      return JobKind::kDelete;
    default:
      return JobKind::kSelect;
  }
}

}  // namespace database
