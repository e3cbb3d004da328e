// The connection's parser. However the bytes are cut into reads, the same messages come out, and
// what is accepted keeps the promises that plugins rely on.
#include "fuzz.hpp"
#include "messages.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  uint32_t state = static_cast<uint32_t>(input.byte()) << 8 | input.byte();
  const std::string_view bytes = input.rest();
  const fuzz::Messages whole = fuzz::read_messages(bytes, [] { return SIZE_MAX; });
  const fuzz::Messages split = fuzz::read_messages(bytes, [&state] {
    state = state * 1664525 + 1013904223;
    return (state >> 16) % 7 == 0 ? 1 + (state >> 20) % 200 : 1 + (state >> 20) % 3;
  });
  // A refusal may come earlier in pieces than in one: a limit is seen before the fault behind it.
  fuzz::expect(whole.whole == split.whole, "the same messages in pieces as in one");
  fuzz::expect((whole.status == 0) == (split.status == 0), "refused in pieces as in one");
  for (const fuzz::Message& message : whole.whole) {
    fuzz::expect(!message.method.empty() && !message.target.empty(), "a method and a target");
    fuzz::expect(message.path.empty() || message.path[0] == '/' || message.path == "*", "a path, or *");
    fuzz::expect(message.path.find('\0') == std::string::npos, "no NUL in a path");
    fuzz::expect(message.body.size() <= fuzz::kBodyLimit, "a body within the limit");
    fuzz::expect(message.fields.size() <= 16, "fields within the limit");
    for (const auto& [name, value] : message.fields) {
      for (const char c : name)
        fuzz::expect(c > 0x20 && c < 0x7f && c != ':' && (c < 'A' || c > 'Z'), "a name in lower case");
      fuzz::expect(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "a value of one line");
    }
  }
  return 0;
}
