// What a shared library says of itself before a byte of its code is mapped.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead::hosting {

struct ElfInfo {
  std::string error;  // "" or why this is no plugin this host can load
  uint16_t abi_major = 0, abi_minor = 0;
};

// Reads the note "BH" and the dynamic symbols (ELF64, this machine's architecture). Never runs
// code of the file. The error is for messages: it says what to do.
ElfInfo inspect_elf(const std::string& path);

}  // namespace bulkhead::hosting
