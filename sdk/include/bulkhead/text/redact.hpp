// bulkhead/text/redact.hpp - query strings without the secrets in them.
#ifndef BULKHEAD_TEXT_REDACT_HPP
#define BULKHEAD_TEXT_REDACT_HPP

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "bulkhead/text/percent.hpp"

namespace bulkhead {

// Signatures and credentials that URLs are known to carry. The first seven are those of
// OpenTelemetry's HTTP conventions.
inline constexpr std::array<std::string_view, 18> kSecretParameters = {"X-Amz-Signature",
                                                                       "X-Amz-Credential",
                                                                       "X-Amz-Security-Token",
                                                                       "AWSAccessKeyId",
                                                                       "Signature",
                                                                       "sig",
                                                                       "X-Goog-Signature",
                                                                       "access_token",
                                                                       "api_key",
                                                                       "apikey",
                                                                       "auth",
                                                                       "client_secret",
                                                                       "id_token",
                                                                       "key",
                                                                       "password",
                                                                       "refresh_token",
                                                                       "secret",
                                                                       "token"};

// True where the name, as a query has it, is one of kSecretParameters or `more`: in any case,
// percent-encoded or with [].
inline bool is_secret_parameter(std::string_view encoded, std::span<const std::string> more = {}) {
  std::string decoded;
  if (!percent_decode(encoded, &decoded)) decoded = encoded;
  const std::string_view name = std::string_view(decoded).substr(0, decoded.find('['));
  const auto same = [name](std::string_view other) {
    return std::equal(name.begin(), name.end(), other.begin(), other.end(),
                      [](char a, char b) { return (a | 0x20) == (b | 0x20); });
  };
  return std::any_of(kSecretParameters.begin(), kSecretParameters.end(), same) ||
         std::any_of(more.begin(), more.end(), same);
}

// Appends the query with REDACTED in place of each secret value; the rest stands as it was sent.
inline void redact_query(std::string_view query, std::span<const std::string> more, std::string* out) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view parameter = query.substr(0, end);
    const size_t equals = parameter.find('=');
    if (equals != std::string_view::npos && is_secret_parameter(parameter.substr(0, equals), more))
      out->append(parameter.substr(0, equals + 1)).append("REDACTED");
    else
      out->append(parameter);
    if (end == std::string_view::npos) return;
    out->push_back('&');
    query.remove_prefix(end + 1);
  }
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_REDACT_HPP
