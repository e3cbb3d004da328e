// Files that secrets were read from, looked at for changes: Kubernetes and Key Vault replace what
// is mounted.
#pragma once

#include <sys/types.h>

#include <ctime>
#include <map>
#include <set>
#include <string>

namespace bulkhead::config {

class SecretFiles {
 public:
  SecretFiles() = default;
  explicit SecretFiles(const std::set<std::string>& paths);

  // True after a change, until the new content was taken. A file that is gone has not changed: it
  // is about to come back.
  bool changed();
  void taken() { pending_ = false; }

 private:
  struct Mark {
    ino_t inode = 0;
    off_t size = 0;
    timespec changed{};  // of contents or permissions
    bool operator==(const Mark& other) const {
      return inode == other.inode && size == other.size && changed.tv_sec == other.changed.tv_sec &&
             changed.tv_nsec == other.changed.tv_nsec;
    }
  };
  static bool look(const std::string& path, Mark* mark);

  std::map<std::string, Mark> marks_;
  bool pending_ = true;  // they may have changed between being read and being looked at first
};

}  // namespace bulkhead::config
