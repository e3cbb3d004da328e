#include "url.hpp"

namespace database {

std::string parse_url(std::string_view text, Url* url) {
  *url = {};
  std::string_view rest = text;
  const Backend* const backend = find_backend(&rest);
  if (backend == nullptr) return "the database URL has no scheme that is known; " + std::string(kUrlForm);
  url->backend = backend;
  return backend->parse_url(rest, url);
}

}  // namespace database
