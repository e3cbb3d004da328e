// Library: one plugin file, checked, mapped, its descriptor checked.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.h"

namespace bulkhead::hosting {

// The file stays mapped for the life of the process. Control thread only.
class Library {
 public:
  // Null and `error` ("people.so: is not ...") when refused.
  static std::shared_ptr<Library> open(const std::string& path, std::string* error);
  // A plugin that is part of the program.
  static std::shared_ptr<Library> linked(const bh_plugin* descriptor, std::string* error);

  const bh_plugin& descriptor() const { return *descriptor_; }
  const std::string& path() const { return path_; }

 private:
  Library() = default;

  std::string path_;
  const bh_plugin* descriptor_ = nullptr;
};

// Where NAME.so is: the first of the folders that has it. "" if none has.
std::string find_library(std::string_view id, const std::vector<std::string>& folders);
// The ids of all libraries in the folders.
std::vector<std::string> library_names(const std::vector<std::string>& folders);
// The folder beside the running program: <program>/../lib/bulkhead.
std::string default_plugin_folder();

// "" or why the descriptor breaks the contract.
std::string check_descriptor(const bh_plugin* descriptor);

}  // namespace bulkhead::hosting
