// A line of the access log is one JSON object on one line, whatever callers send.
#include <nlohmann/json.hpp>

#include "fuzz.hpp"
#include "line.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  accesslog::Entry entry;
  entry.method = entry.request_id = text.substr(0, size / 3);
  entry.path = entry.query = text.substr(size / 3, size / 3);
  entry.user_agent = text.substr(2 * (size / 3));
  std::string line;
  accesslog::append_line(entry, {}, &line);
  fuzz::expect(line.find('\n') == line.size() - 1, "one line");
  fuzz::expect(nlohmann::json::parse(line).at("http").is_object(), "an object");
  return 0;
}
