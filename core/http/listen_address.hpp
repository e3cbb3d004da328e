// Where a listener listens: "127.0.0.1:5000", "[::1]:5000", "localhost:5000", ":5000" or
// "unix:/run/x.sock".
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::http {

struct ListenAddress {
  static constexpr mode_t kSocketMode = 0660;

  std::string host;  // without brackets; "" = all addresses of the machine, IPv6 and IPv4
  uint16_t port = 0;
  std::string path;  // of a unix socket; host and port mean nothing then
  mode_t mode = kSocketMode;

  bool is_unix() const { return !path.empty(); }
};

// Why the text is no such address, and what to write; "" on success. Names are not looked up.
std::string parse_listen_address(std::string_view text, ListenAddress* address);

// Why nothing can listen there, as far as it shows without listening: a name that does not resolve,
// a file in the way of a socket, a folder that is missing. "" where nothing is in the way.
std::string find_obstacle(const ListenAddress& address);

// Listens. The descriptor and the text with the port the system chose; or why not, and a descriptor
// of -1. A stale socket is replaced, any other file is left alone.
struct Listening {
  int fd = -1;
  std::string text, error;
};
Listening listen_on(const ListenAddress& address);

}  // namespace bulkhead::http
