// Database URLs: what is wrong is said without the password.
#include "fuzz.hpp"
#include "postgresql/pg_url.hpp"
#include "url.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  database::Url url;
  const std::string wrong = database::parse_url(text, &url);
  if (wrong.empty()) {
    static_cast<void>(database::connection_string(url.keywords));
    for (const auto& [name, value] : url.keywords)
      fuzz::expect(!name.empty() && name != "password" && value.find_first_of(" =") == std::string::npos,
                   "plain keywords");
  }
  return 0;
}
