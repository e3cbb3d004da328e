// A password file for libpq that exists in memory only.
//
// SOCI cuts connection strings at spaces and '=', so a password cannot stand in one.
// Here no character of it matters, and no error message can quote it.
#pragma once

#include <string>
#include <string_view>

namespace database {

class Passfile {
 public:
  // Throws bulkhead::Failure where the system refuses.
  explicit Passfile(std::string_view password);
  ~Passfile();
  Passfile(const Passfile&) = delete;
  Passfile& operator=(const Passfile&) = delete;

  // For the keyword passfile; valid while this lives.
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace database
