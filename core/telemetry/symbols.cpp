#include "core/telemetry/symbols.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <execinfo.h>
#include <link.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/runtime/mapped_file.hpp"

namespace bulkhead::telemetry {

namespace {

using runtime::MappedFile;

// A file that is mapped to run, and its symbols.
struct Module {
  std::string plugin, path;
  uintptr_t base = 0, begin = 0, end = 0;
  std::string build_id;
  std::unique_ptr<MappedFile> file;
  std::string_view symbols, names;  // .symtab and .strtab, or what is there for the linker
};

// Written once each, never freed: a handler may look at any moment.
std::array<std::atomic<const Module*>, 256> modules;

void find_symbols(Module& module) {
  const auto elf = module.file->read<Elf64_Ehdr>(0);
  if (!elf) return;
  const auto section = [&](uint64_t i) { return module.file->read<Elf64_Shdr>(elf->e_shoff + i * sizeof(Elf64_Shdr)); };
  for (const uint32_t wanted : {uint32_t{SHT_SYMTAB}, uint32_t{SHT_DYNSYM}}) {
    for (unsigned i = 0; i < elf->e_shnum; ++i) {
      const auto table = section(i);
      if (!table || table->sh_type != wanted) continue;
      const auto strings = section(table->sh_link);
      if (!strings) continue;
      const auto symbols = module.file->piece(table->sh_offset, table->sh_size);
      const auto names = module.file->piece(strings->sh_offset, strings->sh_size);
      // The last name ends within the table.
      if (!symbols || !names || names->empty() || names->back() != '\0') continue;
      module.symbols = *symbols;
      module.names = *names;
      return;
    }
  }
}

std::string_view build_id_in(std::string_view notes) {
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, notes.data(), sizeof header);
    notes.remove_prefix(sizeof header);
    const uint64_t name = (uint64_t{header.n_namesz} + 3) & ~uint64_t{3};
    const uint64_t descriptor = (uint64_t{header.n_descsz} + 3) & ~uint64_t{3};
    if (name + descriptor > notes.size()) break;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 && std::memcmp(notes.data(), "GNU", 4) == 0)
      return notes.substr(name, header.n_descsz);
    notes.remove_prefix(name + descriptor);
  }
  return {};
}

struct Search {
  uintptr_t address;
  Module* module;
};

// What the linker knows of the module that holds the address.
int fill_in(dl_phdr_info* info, size_t /*size*/, void* arg) {
  auto& [address, module] = *static_cast<Search*>(arg);
  uintptr_t begin = UINTPTR_MAX, end = 0;
  bool holds = false;
  std::string_view build_id;
  for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    const uintptr_t from = info->dlpi_addr + segment.p_vaddr, to = from + segment.p_memsz;
    if (segment.p_type == PT_NOTE && build_id.empty())
      build_id = build_id_in({reinterpret_cast<const char*>(from), segment.p_memsz});
    if (segment.p_type != PT_LOAD) continue;
    holds = holds || (address >= from && address < to);
    begin = std::min(begin, from);
    end = std::max(end, to);
  }
  if (!holds) return 0;
  module->path = info->dlpi_name;
  module->base = info->dlpi_addr;
  module->begin = begin;
  module->end = end;
  module->build_id = build_id;
  return 1;
}

const Module* module_at(uintptr_t address) {
  for (const auto& each : modules) {
    const Module* module = each.load(std::memory_order_acquire);
    if (module == nullptr) return nullptr;
    if (address >= module->begin && address < module->end) return module;
  }
  return nullptr;
}

}  // namespace

void know_symbols_at(const void* address, std::string_view plugin) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  if (module_at(at) != nullptr) return;
  auto module = std::make_unique<Module>();
  module->plugin = plugin;
  Search search{at, module.get()};
  if (dl_iterate_phdr(fill_in, &search) == 0) return;
  if (module->path.empty()) {  // the program itself
    char path[PATH_MAX];
    const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
    module->path.assign(path, n > 0 ? static_cast<size_t>(n) : 0);
  }
  module->file = std::make_unique<MappedFile>(module->path);
  find_symbols(*module);
  for (auto& each : modules) {
    if (each.load(std::memory_order_relaxed) != nullptr) continue;
    each.store(module.release(), std::memory_order_release);
    return;
  }
}

Place place_of(const void* address) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  Place place;
  const Module* module = module_at(at);
  if (module == nullptr) {
    dl_find_object found{};  // async-signal-safe, unlike dladdr()
    if (_dl_find_object(const_cast<void*>(address), &found) != 0 || found.dlfo_link_map == nullptr) return place;
    place.file = found.dlfo_link_map->l_name;
    place.offset = at - found.dlfo_link_map->l_addr;
    return place;
  }
  place.plugin = module->plugin;
  place.file = module->path;
  place.build_id = module->build_id;
  place.offset = at - module->base;
  for (size_t i = 0; i + sizeof(Elf64_Sym) <= module->symbols.size(); i += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    std::memcpy(&symbol, module->symbols.data() + i, sizeof symbol);
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_name >= module->names.size()) continue;
    if (place.offset < symbol.st_value || place.offset >= symbol.st_value + symbol.st_size) continue;
    place.function = module->names.data() + symbol.st_name;
    break;
  }
  return place;
}

std::string describe(const Place& place) {
  FixedText<32> offset;
  offset.add("+0x");
  offset.add_hex(place.offset);
  const size_t slash = place.file.rfind('/');
  std::string text(place.file.empty() ? "?" : place.file.substr(slash == std::string_view::npos ? 0 : slash + 1));
  text += offset.view();
  if (place.function.empty()) return text;
  int status = 0;
  const std::string mangled(place.function);
  const std::unique_ptr<char, decltype(&std::free)> plain(
      abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status), std::free);
  return text + " " + (plain ? plain.get() : mangled.c_str());
}

size_t take_backtrace(void** frames, size_t most) {
  const int count = ::backtrace(frames, static_cast<int>(most));
  return count > 0 ? static_cast<size_t>(count) : 0;
}

void* program_counter(const void* context) {
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return reinterpret_cast<void*>(registers.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return reinterpret_cast<void*>(registers.pc);
#endif
}

void prepare_backtraces() {
  void* frames[2];
  ::backtrace(frames, 2);  // loads the unwinder, which a handler must not
}

}  // namespace bulkhead::telemetry
