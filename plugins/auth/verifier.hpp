// Verifier: one kind of credentials, and how it is found out whose they are.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "identity.hpp"

namespace auth {

// Whose credentials they are, or what is wrong with them.
struct Outcome {
  Verdict verdict = Verdict::kUnknown;
  IdentityPtr identity;  // where the verdict is kGood
  std::string why;       // else, for the caller
};

class Verifier {
 public:
  virtual ~Verifier() = default;

  // Its name in metrics and logs.
  virtual std::string_view kind() const = 0;
  // The clock by which its identities end.
  virtual int64_t now_ms() const { return wall_ms(); }
  // [I/O thread] What this host knows by itself; nothing where the database or an issuer has to be
  // asked.
  virtual std::optional<Outcome> known(std::string_view credential) = 0;
  // Asks. `credential` lives as long as the request is held.
  virtual bulkhead::Task<Outcome> ask(bulkhead::Request request, std::string_view credential) = 0;
};

}  // namespace auth
