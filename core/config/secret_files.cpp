#include "core/config/secret_files.hpp"

#include <sys/stat.h>

namespace bulkhead::config {

SecretFiles::SecretFiles(const std::set<std::string>& paths) {
  for (const std::string& path : paths) look(path, &marks_[path]);
}

bool SecretFiles::look(const std::string& path, Mark* mark) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return false;
  *mark = {found.st_ino, found.st_size, found.st_ctim};
  return true;
}

bool SecretFiles::changed() {
  if (marks_.empty()) return false;
  for (auto& [path, known] : marks_) {
    Mark now;
    if (!look(path, &now) || now == known) continue;
    known = now;
    pending_ = true;
  }
  return pending_;
}

}  // namespace bulkhead::config
