// Checked mode (BULKHEAD_CHECKED=1): slower, and strict with plugins. What was lent is overwritten
// once the loan ends, and a call that breaks the contract ends the process with the plugin's name.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace bulkhead::runtime {

inline bool checked() {
  static const bool kChecked = [] {
    const char* value = std::getenv("BULKHEAD_CHECKED");  // NOLINT(concurrency-mt-unsafe): nothing changes it
    return value != nullptr && std::string_view(value) == "1";
  }();
  return kChecked;
}

// Over memory whose loan has ended.
inline void poison(void* memory, size_t size) {
  static constexpr int kPoison = 0xdd;
  if (size != 0) std::memset(memory, kPoison, size);
}

}  // namespace bulkhead::runtime
