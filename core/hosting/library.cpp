#include "core/hosting/library.hpp"

#include <boost/dll/runtime_symbol_info.hpp>
#include <boost/dll/shared_library.hpp>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "bulkhead/value.hpp"
#include "core/hosting/elf.hpp"
#include "core/telemetry/crash.hpp"
#include "core/telemetry/symbols.hpp"

namespace bulkhead::hosting {

std::string check_descriptor(const bh_plugin* descriptor) {
  if (descriptor == nullptr) return "bh_plugin_v1 returned no descriptor";
  const bh_plugin& d = *descriptor;
  if (!BH_HAS(descriptor, extension)) return "its descriptor is shorter than ABI 1.0";
  if (d.abi_major != BH_ABI_MAJOR || d.abi_minor > BH_ABI_MINOR)
    return "its descriptor names another ABI than its note";
  const std::string_view id = to_view(d.id);
  if (id.empty() || id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") != std::string_view::npos)
    return "its id '" + std::string(id) + "' is not made of a-z, 0-9, '-' and '_'";
  if (to_view(d.version).empty()) return "it has no version";
  if (d.create == nullptr || d.destroy == nullptr) return "it has no create or no destroy";
  if (!to_view(d.schema).empty()) {
    const auto schema = nlohmann::json::parse(to_view(d.schema), nullptr, false);
    if (schema.is_discarded() || !schema.is_object()) return "its configuration schema is not a JSON object";
  }
  return {};
}

std::shared_ptr<Library> Library::open(const std::string& path, std::string* error) {
  std::error_code unknown;  // what does not exist is told by what follows
  if (std::filesystem::exists(path, unknown) && !std::filesystem::is_regular_file(path, unknown)) {
    *error = path + ": is no regular file";  // to read a FIFO waits for ever
    return nullptr;
  }
  if (const ElfInfo info = inspect_elf(path); !info.error.empty()) {
    *error = path + ": " + info.error;
    return nullptr;
  }
  std::shared_ptr<Library> library(new Library);  // NOLINT: the constructor is private
  library->path_ = path;
  try {
    namespace dll = boost::dll;
    // Never unmapped, not even when the process ends: a string, a vtable or a thread-local
    // destructor of the plugin may still be in use anywhere, and a thread that waits for a name
    // server may yet come back.
    static auto& mapped = *new std::deque<dll::shared_library>;
    dll::shared_library& handle = mapped.emplace_back();
    handle.load(std::filesystem::absolute(path).string(), dll::load_mode::rtld_now | dll::load_mode::rtld_local);
    library->descriptor_ = handle.get<const bh_plugin*()>("bh_plugin_v1")();
  } catch (const std::exception& failure) {
    *error = path + ": cannot be loaded: " + failure.what();
    return nullptr;
  }
  if (const std::string wrong = check_descriptor(library->descriptor_); !wrong.empty()) {
    *error = path + ": " + wrong;
    return nullptr;
  }
  telemetry::know_symbols_at(library->descriptor_, to_view(library->descriptor_->id));
  telemetry::ExitGuard::watch();  // before what the library registered
  return library;
}

std::shared_ptr<Library> Library::linked(const bh_plugin* descriptor, std::string* error) {
  *error = check_descriptor(descriptor);
  if (!error->empty()) return nullptr;
  std::shared_ptr<Library> library(new Library);  // NOLINT: the constructor is private
  library->path_ = "linked";
  library->descriptor_ = descriptor;
  return library;
}

std::string find_library(std::string_view id, const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) {
    const auto path = std::filesystem::path(folder) / (std::string(id) + ".so");
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) return path.string();
  }
  return {};
}

std::vector<std::string> library_names(const std::vector<std::string>& folders) {
  std::vector<std::string> names;
  for (const std::string& folder : folders) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
      if (entry.path().extension() == ".so") names.push_back(entry.path().stem().string());
  }
  return names;
}

std::string default_plugin_folder() {
  const std::filesystem::path program = boost::dll::program_location().string();
  return (program.parent_path().parent_path() / "lib" / "bulkhead").lexically_normal().string();
}

}  // namespace bulkhead::hosting
