#include "backend.hpp"

#include <array>

#include "postgresql/pg_backend.hpp"
#include "sqlite/sqlite_backend.hpp"

namespace database {

namespace {

constexpr std::array kBackends = {&kPostgresql, &kSqlite};

}  // namespace

const Backend* find_backend(std::string_view* url) {
  for (const Backend* backend : kBackends) {
    for (std::string_view left = backend->schemes; !left.empty();) {
      const std::string_view scheme = left.substr(0, left.find(' '));
      if (url->starts_with(scheme)) {
        url->remove_prefix(scheme.size());
        return backend;
      }
      left.remove_prefix(std::min(scheme.size() + 1, left.size()));
    }
  }
  return nullptr;
}

}  // namespace database
