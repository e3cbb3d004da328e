#include "passfile.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bulkhead/plugin.hpp"

namespace database {

Passfile::Passfile(std::string_view password) : fd_(::memfd_create("passfile", MFD_CLOEXEC)) {
  std::string line = "*:*:*:*:";  // host, port, database, user: any
  for (const char c : password) {
    if (c == ':' || c == '\\') line += '\\';
    line += c;
  }
  line += '\n';
  const bool written = fd_ >= 0 && ::fchmod(fd_, 0600) == 0 &&
                       ::write(fd_, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  ::explicit_bzero(line.data(), line.size());
  if (written) return;
  if (fd_ >= 0) ::close(fd_);
  throw bulkhead::Failure(BH_E_INTERNAL, "cannot keep the database password in memory");
}

Passfile::~Passfile() { ::close(fd_); }

}  // namespace database
