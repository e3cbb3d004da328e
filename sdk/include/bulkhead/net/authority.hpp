// bulkhead/net/authority.hpp - the parts of USER:PASSWORD@HOST:PORT (RFC 3986 §3.2).
#ifndef BULKHEAD_NET_AUTHORITY_HPP
#define BULKHEAD_NET_AUTHORITY_HPP

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead {

// The parts are views of the text; percent-encoding stays as it is.
struct HostPort {
  std::string_view host;                 // without the brackets
  std::optional<std::string_view> port;  // unchecked; see parse_port()
  bool bracketed = false;                // as an IPv6 address has to be
};

inline HostPort split_host_port(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end != std::string_view::npos && (end + 1 == text.size() || text[end + 1] == ':')) {
      const std::string_view behind = text.substr(end + 1);
      return {text.substr(1, end - 1), behind.empty() ? std::nullopt : std::optional(behind.substr(1)), true};
    }
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {text, std::nullopt};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

// A whole number from `least` to 65535, and nothing else.
inline std::optional<uint16_t> parse_port(std::string_view text, uint16_t least = 1) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < least) return std::nullopt;
  return port;
}

struct Authority {
  std::string_view user;
  std::optional<std::string_view> password;
  std::string_view hosts;  // HOST:PORT, or what else a scheme allows here
};

// The last '@' ends the user's part: a password may hold one.
inline Authority split_authority(std::string_view text) {
  const size_t at = text.rfind('@');
  if (at == std::string_view::npos) return {{}, std::nullopt, text};
  const std::string_view user = text.substr(0, at);
  const size_t colon = user.find(':');
  return {user.substr(0, colon), colon == std::string_view::npos ? std::nullopt : std::optional(user.substr(colon + 1)),
          text.substr(at + 1)};
}

}  // namespace bulkhead

#endif  // BULKHEAD_NET_AUTHORITY_HPP
