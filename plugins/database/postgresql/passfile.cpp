#include "postgresql/passfile.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "bulkhead/plugin.hpp"

namespace database {

namespace {

std::string line_of(std::string_view password) {
  std::string line = "*:*:*:*:";  // host, port, database, user: any
  for (const char c : password) {
    if (c == ':' || c == '\\') line += '\\';
    line += c;
  }
  return line + '\n';
}

int written(std::string_view password) {
  std::string line = line_of(password);
  const int fd = ::memfd_create("passfile", MFD_CLOEXEC);
  const bool good =
      fd >= 0 && ::fchmod(fd, 0600) == 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  ::explicit_bzero(line.data(), line.size());
  if (good) return fd;
  if (fd >= 0) ::close(fd);
  throw bulkhead::Failure(BH_E_INTERNAL, "cannot keep the database password in memory");
}

}  // namespace

Passfile::Passfile(std::string_view password) : fd_(written(password)) {}

Passfile::~Passfile() {
  ::close(fd_.load());
  if (before_ >= 0) ::close(before_);
}

void Passfile::replace(std::string_view password) {
  const int older = std::exchange(before_, fd_.exchange(written(password)));
  if (older >= 0) ::close(older);
}

bool Passfile::holds(std::string_view password) const {
  std::string wanted = line_of(password), held(wanted.size() + 1, '\0');
  const ssize_t size = ::pread(fd_.load(), held.data(), held.size(), 0);
  const bool same = size == static_cast<ssize_t>(wanted.size()) && held.compare(0, wanted.size(), wanted) == 0;
  ::explicit_bzero(wanted.data(), wanted.size());
  ::explicit_bzero(held.data(), held.size());
  return same;
}

}  // namespace database
