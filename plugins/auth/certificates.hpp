// Certificates: callers whose client certificate the TLS handshake verified.
#pragma once

#include <string_view>

#include "settings.hpp"
#include "verifier.hpp"

namespace auth {

class Certificates final : public Verifier {
 public:
  explicit Certificates(const Settings& settings) : settings_(settings) {}

  std::string_view kind() const override { return "certificate"; }
  // `subject`: of the certificate, as in RFC 2253. kUnknown where no rule has it.
  std::optional<Outcome> known(std::string_view subject) override;
  bulkhead::Task<Outcome> ask(bulkhead::Request request, std::string_view subject) override;

 private:
  const Settings& settings_;
};

}  // namespace auth
