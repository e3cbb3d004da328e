// Values of the fields that the host itself reads.
#include <string>

#include "fuzz.hpp"
#include "messages.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr std::string_view kNames[] = {"Host",   "Connection",   "Content-Length", "Transfer-Encoding",
                                                "Expect", "X-Request-ID", "Cookie",         "Authorization"};
  fuzz::Input input(data, size);
  const std::string_view name = kNames[input.byte() % 8];
  const std::string value(input.rest());
  if (value.find_first_of("\r\n") != std::string::npos) return 0;
  std::string message = "POST / HTTP/1.1\r\n";
  if (name != "Host") message += "Host: x\r\n";
  message += std::string(name) + ":" + value + "\r\n\r\n";
  const fuzz::Messages read = fuzz::read_messages(message, [] { return SIZE_MAX; });
  if (read.status != 0) return 0;
  if (name == "Host")
    for (const char c : read.whole.at(0).authority) fuzz::expect(c > 0x20 && c < 0x7f && c != ',', "a sane authority");
  if (name == "Content-Length") {
    const size_t first = value.find_first_not_of(" \t"), last = value.find_last_not_of(" \t");
    fuzz::expect(value.substr(first, last - first + 1).find_first_not_of("0123456789") == std::string::npos,
                 "digits alone");
  }
  if (name == "Transfer-Encoding") fuzz::expect(read.incomplete, "chunks are waited for");
  return 0;
}
