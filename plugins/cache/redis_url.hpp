// redis://USER:PASSWORD@HOST:PORT/DATABASE
#pragma once

#include <string>
#include <string_view>

namespace cache {

struct RedisUrl {
  std::string host = "127.0.0.1", user, password;
  int port = 6379, database = 0;
  std::string display;  // without the password, for messages
};

// Empty on success, else what is wrong and how to write it; never the password.
std::string parse_redis_url(std::string_view text, RedisUrl* url);

}  // namespace cache
