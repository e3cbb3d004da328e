// bulkhead/net/redis_url.hpp - where a Redis is: redis://USER:PASSWORD@HOST:PORT/DATABASE
#ifndef BULKHEAD_NET_REDIS_URL_HPP
#define BULKHEAD_NET_REDIS_URL_HPP

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "bulkhead/net/authority.hpp"
#include "bulkhead/text/percent.hpp"

namespace bulkhead {

struct RedisUrl {
  std::string host = "127.0.0.1", user, password;
  int port = 6379, database = 0;
  std::string display;  // without the password, for messages
};

namespace detail {

inline constexpr std::string_view kRedisUrlForm = "write redis://USER:PASSWORD@HOST:PORT/DATABASE";

inline bool redis_url_database(std::string_view text, int* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value >= 0 && *value <= 1'000'000;
}

}  // namespace detail

// Empty on success, else what is wrong and how to write it; never the password.
inline std::string parse_redis_url(std::string_view text, RedisUrl* url) {
  *url = {};
  if (text.starts_with("rediss://"))
    return "rediss:// is not spoken here: let a TLS proxy (stunnel, a sidecar) listen on loopback and name that";
  if (!text.starts_with("redis://"))
    return "the Redis URL has no scheme that is known; " + std::string(detail::kRedisUrlForm);
  text.remove_prefix(8);
  const size_t slash = text.find('/');
  const Authority authority = split_authority(text.substr(0, slash));
  const std::string_view database = slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
  if (!percent_decode(authority.user, &url->user) || !percent_decode(authority.password.value_or(""), &url->password))
    return "a '%' in the Redis URL is not followed by two hexadecimal digits";
  const HostPort place = split_host_port(authority.hosts);
  if (!place.host.empty()) url->host = place.host;
  if (place.port) {
    const std::optional<uint16_t> port = parse_port(*place.port);
    if (!port) return "the port of the Redis URL is no number from 1 to 65535";
    url->port = *port;
  }
  if (!database.empty() && !detail::redis_url_database(database, &url->database))
    return "the database of the Redis URL is not a number; " + std::string(detail::kRedisUrlForm);
  url->display =
      "redis://" + std::string(authority.hosts) + (slash == std::string_view::npos ? "" : "/") + std::string(database);
  return {};
}

}  // namespace bulkhead

#endif  // BULKHEAD_NET_REDIS_URL_HPP
