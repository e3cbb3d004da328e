#include "utf8.hpp"

#include <nlohmann/json.hpp>

namespace metrics {

// The library's own replacement, without the quotes it writes around.
std::string clean_utf8(std::string_view text) {
  bool plain = true;
  for (const char c : text) plain = plain && static_cast<unsigned char>(c) < 0x80;
  if (plain) return std::string(text);
  const std::string dumped =
      nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(dumped).get<std::string>();
}

}  // namespace metrics
