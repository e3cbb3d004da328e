#include "certificates.hpp"

#include <memory>
#include <string>

namespace auth {

using bulkhead::Request;

namespace {

// A * stands for text within one part of the name: what is escaped, or begins the next part, is
// none of it.
bool subject_matches(std::string_view pattern, std::string_view subject) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == subject;
  if (!subject.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (size_t i = star; i <= subject.size(); ++i) {
    if (subject_matches(rest, subject.substr(i))) return true;
    if (i == subject.size() || subject[i] == ',' || subject[i] == '+' || subject[i] == '\\') return false;
  }
  return false;
}

}  // namespace

std::optional<Outcome> Certificates::known(std::string_view subject) {
  for (const CertificateRule& rule : settings_.certificates)
    if (!subject.empty() && subject_matches(rule.subject, subject))
      return Outcome{Verdict::kGood,
                     std::make_shared<Identity>(
                         Identity{"cert:" + std::string(subject), "certificate", rule.scopes, rule.tenant, 0}),
                     {}};
  return Outcome{Verdict::kUnknown, nullptr, "No rule of this service matches the certificate."};
}

bulkhead::Task<Outcome> Certificates::ask(Request /*request*/, std::string_view subject) {
  co_return known(subject).value();
}

}  // namespace auth
