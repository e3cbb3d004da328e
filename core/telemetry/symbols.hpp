// Symbols: what stands at an address of the program or of a plugin: file, offset, function.
//
// The functions that plugins do not export count too, where the file is not stripped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::telemetry {

// Text in a buffer of its own. What does not fit is cut. Async-signal-safe.
template <size_t Size>
struct FixedText {
  char text[Size];
  size_t size = 0;

  void add(std::string_view part) {
    const size_t n = part.size() < Size - size ? part.size() : Size - size;
    for (size_t i = 0; i < n; ++i) text[size++] = part[i];
  }
  void add_hex(uint64_t number) {
    char digits[16];
    size_t count = 0;
    do digits[count++] = "0123456789abcdef"[number & 15];
    while ((number >>= 4) != 0);
    while (count != 0 && size < Size) text[size++] = digits[--count];
  }
  std::string_view view() const { return {text, size}; }
};

// From now on addresses of the file that `address` lies in have names, and belong to the plugin; ""
// for the program's own. The file stays mapped. Control thread.
void know_symbols_at(const void* address, std::string_view plugin);

struct Place {
  std::string_view plugin;    // whose code it is; "" where it is no plugin's
  std::string_view file;      // its path; "" where nothing is known of the address
  std::string_view build_id;  // raw bytes; "" where it has none
  std::string_view function;  // as the linker knows it; "" where no symbol covers the address
  uint64_t offset = 0;        // within the file, for addr2line(1)
};
// Of an instruction. Async-signal-safe.
Place place_of(const void* address);

// "people.so+0x1a2b People::list(Request)". Not for signal handlers.
std::string describe(const Place& place);

// Fills `frames` from the calling function outwards. How many. Async-signal-safe once
// prepare_backtraces() ran.
size_t take_backtrace(void** frames, size_t most);
void prepare_backtraces();
// Of the interrupted instruction; `context` is what a handler is given.
void* program_counter(const void* context);

}  // namespace bulkhead::telemetry
