// bulkhead/net/redis_url.hpp - where a Redis is: redis://USER:PASSWORD@HOST:PORT/DATABASE
#ifndef BULKHEAD_NET_REDIS_URL_HPP
#define BULKHEAD_NET_REDIS_URL_HPP

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "bulkhead/text/percent.hpp"

namespace bulkhead {

struct RedisUrl {
  std::string host = "127.0.0.1", user, password;
  int port = 6379, database = 0;
  std::string display;  // without the password, for messages
};

namespace detail {

inline constexpr std::string_view kRedisUrlForm = "write redis://USER:PASSWORD@HOST:PORT/DATABASE";

inline bool redis_url_number(std::string_view text, int max, int* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value >= 0 && *value <= max;
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
  std::string_view authority = text.substr(0, slash);
  const std::string_view database = slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view who = authority.substr(0, at);
    const size_t colon = who.find(':');
    authority.remove_prefix(at + 1);
    if (!percent_decode(who.substr(0, colon), &url->user) ||
        (colon != std::string_view::npos && !percent_decode(who.substr(colon + 1), &url->password)))
      return "a '%' in the Redis URL is not followed by two hexadecimal digits";
  }
  const bool bracket = authority.starts_with('[');
  const size_t colon =
      bracket ? authority.find(':', std::min(authority.find(']'), authority.size())) : authority.rfind(':');
  std::string_view host = authority.substr(0, colon);
  if (bracket && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (!host.empty()) url->host = host;
  if (colon != std::string_view::npos && !detail::redis_url_number(authority.substr(colon + 1), 65535, &url->port))
    return "the port of the Redis URL is not a number";
  if (!database.empty() && !detail::redis_url_number(database, 1'000'000, &url->database))
    return "the database of the Redis URL is not a number; " + std::string(detail::kRedisUrlForm);
  url->display =
      "redis://" + std::string(authority) + (slash == std::string_view::npos ? "" : "/") + std::string(database);
  return {};
}

}  // namespace bulkhead

#endif  // BULKHEAD_NET_REDIS_URL_HPP
