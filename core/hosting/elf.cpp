#include "core/hosting/elf.hpp"

#include <elf.h>

#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "bulkhead/plugin.h"
#include "core/runtime/mapped_file.hpp"

namespace bulkhead::hosting {

namespace {

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#endif

using runtime::MappedFile;

// The major and minor of the note named "BH" among the notes of one segment.
std::optional<std::pair<uint16_t, uint16_t>> find_note(std::string_view notes) {
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, notes.data(), sizeof header);
    notes.remove_prefix(sizeof header);
    const uint64_t name = (uint64_t{header.n_namesz} + 3) & ~uint64_t{3},
                   descriptor = (uint64_t{header.n_descsz} + 3) & ~uint64_t{3};
    if (name + descriptor > notes.size()) return std::nullopt;
    if (header.n_namesz == 4 && header.n_descsz == 4 && header.n_type == 1 &&
        std::memcmp(notes.data(), "BH\0", 4) == 0) {
      uint16_t version[2];
      std::memcpy(version, notes.data() + name, sizeof version);
      return std::pair(version[0], version[1]);
    }
    notes.remove_prefix(name + descriptor);
  }
  return std::nullopt;
}

// A defined global symbol of that name in .dynsym.
bool exports(const MappedFile& file, const Elf64_Ehdr& elf, std::string_view wanted) {
  for (unsigned i = 0; i < elf.e_shnum; ++i) {
    const auto section = file.read<Elf64_Shdr>(elf.e_shoff + uint64_t{i} * sizeof(Elf64_Shdr));
    if (!section || section->sh_type != SHT_DYNSYM) continue;
    const auto strings = file.read<Elf64_Shdr>(elf.e_shoff + uint64_t{section->sh_link} * sizeof(Elf64_Shdr));
    if (!strings) return false;
    const auto table = file.piece(strings->sh_offset, strings->sh_size);
    if (!table) return false;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= section->sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = file.read<Elf64_Sym>(section->sh_offset + at);
      if (!symbol) return false;
      if (symbol->st_shndx == SHN_UNDEF || symbol->st_name >= table->size()) continue;
      const std::string_view name = table->substr(symbol->st_name);
      if (name.substr(0, name.find('\0')) == wanted) return true;
    }
  }
  return false;
}

}  // namespace

ElfInfo inspect_elf(const std::string& path) {
  ElfInfo info;
  const MappedFile file(path);
  if (!file.error.empty()) {
    info.error = "cannot be read: " + file.error;
    return info;
  }
  const auto elf = file.read<Elf64_Ehdr>(0);
  if (!elf || std::memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0) {
    info.error = "is not a shared library (no ELF header)";
    return info;
  }
  if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != kMachine || elf->e_type != ET_DYN) {
    info.error = "is an ELF file, but not a shared library for this machine";
    return info;
  }
  std::optional<std::pair<uint16_t, uint16_t>> version;
  for (unsigned i = 0; i < elf->e_phnum && !version; ++i) {
    const auto segment = file.read<Elf64_Phdr>(elf->e_phoff + uint64_t{i} * sizeof(Elf64_Phdr));
    if (!segment || segment->p_type != PT_NOTE) continue;
    if (const auto notes = file.piece(segment->p_offset, segment->p_filesz)) version = find_note(*notes);
  }
  if (!version) {
    info.error =
        "is not a Bulkhead plugin (no note \"BH\"; build it with bulkhead_add_plugin and BULKHEAD_PLUGIN or BH_NOTE)";
    return info;
  }
  info.abi_major = version->first;
  info.abi_minor = version->second;
  const std::string theirs = std::to_string(info.abi_major) + "." + std::to_string(info.abi_minor);
  const std::string ours = std::to_string(BH_ABI_MAJOR) + "." + std::to_string(BH_ABI_MINOR);
  if (info.abi_major != BH_ABI_MAJOR)
    info.error = "is built for plugin ABI " + theirs + ", this host speaks " + ours + "; rebuild it with this SDK";
  else if (info.abi_minor > BH_ABI_MINOR)
    info.error = "needs plugin ABI " + theirs + ", newer than this host's " + ours +
                 "; update the host, or rebuild it with this SDK";
  else if (!exports(file, *elf, "bh_plugin_v1"))
    info.error = "has a Bulkhead note but does not export bh_plugin_v1";
  return info;
}

}  // namespace bulkhead::hosting
