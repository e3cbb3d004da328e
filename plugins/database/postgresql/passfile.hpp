// A password file for libpq that exists in memory only.
//
// SOCI cuts connection strings at spaces and '=', so a password cannot stand in one.
// Here no character of it matters, and no error message can quote it.
#pragma once

#include <atomic>
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

  // Another password for connections from now on. [any]
  void replace(std::string_view password);
  bool holds(std::string_view password) const;

  // For the keyword passfile; valid while this lives. [any]
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.load()); }

 private:
  std::atomic<int> fd_;
  int before_ = -1;  // a connection under way may still read it
};

}  // namespace database
