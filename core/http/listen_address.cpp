#include "core/http/listen_address.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "bulkhead/net/authority.hpp"

namespace bulkhead::http {

namespace {

constexpr int kBacklog = 4096;
constexpr std::string_view kUnix = "unix:";
constexpr std::string_view kForms = "write HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH";
using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

std::string in_quotes(std::string_view text) { return std::string("'").append(text).append("'"); }

std::string text_of(const ListenAddress& address, uint16_t port) {
  if (address.is_unix()) return std::string(kUnix) + address.path;
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(port);
}

std::string resolve(const ListenAddress& address, AddressList* list) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string host = address.host == "*" ? "0.0.0.0" : address.host.empty() ? "::" : address.host;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) return in_quotes(address.host) + " names no address of a host: " + ::gai_strerror(error);
  *list = {found, ::freeaddrinfo};
  return {};
}

bool fill(const ListenAddress& address, sockaddr_un* name) {
  name->sun_family = AF_UNIX;
  if (address.path.size() >= sizeof name->sun_path) return false;
  std::memcpy(name->sun_path, address.path.c_str(), address.path.size() + 1);
  return true;
}

// Whether a program answers at the socket.
bool answers(const sockaddr_un& name) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const bool refused = fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 &&
                       (errno == ECONNREFUSED || errno == ENOENT);
  if (fd >= 0) ::close(fd);
  return !refused;
}

std::string file_in_the_way(const ListenAddress& address, bool* stale) {
  *stale = false;
  struct stat found {};
  if (::lstat(address.path.c_str(), &found) != 0) {
    if (errno != ENOENT) return address.path + ": " + std::strerror(errno);
    const std::string folder = address.path.substr(0, address.path.rfind('/') + 1);
    if (::stat(folder.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) return {};
    return address.path + ": the folder " + folder + " does not exist; make it first";
  }
  if (!S_ISSOCK(found.st_mode)) return address.path + " is a file, not a socket; choose another path or remove it";
  *stale = true;
  return {};
}

Listening listen_unix(const ListenAddress& address) {
  const std::string text = text_of(address, 0);
  sockaddr_un name{};
  fill(address, &name);
  bool stale = false;
  if (std::string wrong = file_in_the_way(address, &stale); !wrong.empty()) return {-1, text, std::move(wrong)};
  if (stale && answers(name)) return {-1, text, "cannot listen on " + text + ": another program listens there"};
  if (stale) ::unlink(address.path.c_str());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  // The mode before the bind, so that the file is never open to more than that; and after it, for
  // what the umask took.
  const bool bound = fd >= 0 && ::fchmod(fd, address.mode) == 0 &&
                     ::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
  if (!bound || ::chmod(address.path.c_str(), address.mode) != 0 || ::listen(fd, kBacklog) != 0) {
    std::string why = "cannot listen on " + text + ": " + std::strerror(errno);
    if (bound) ::unlink(address.path.c_str());
    if (fd >= 0) ::close(fd);
    return {-1, text, std::move(why)};
  }
  return {fd, text, {}};
}

int bind_first(const ListenAddress& address, const addrinfo& found) {
  const int fd = ::socket(found.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1, off = 0;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.host.empty()) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (::bind(fd, found.ai_addr, found.ai_addrlen) == 0 && ::listen(fd, kBacklog) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

}  // namespace

std::string parse_listen_address(std::string_view text, ListenAddress* address) {
  *address = {};
  if (text.starts_with(kUnix)) {
    address->path = text.substr(kUnix.size());
    sockaddr_un name{};
    if (!address->path.starts_with('/') || address->path.ends_with('/'))
      return in_quotes(text) + " is no address: the path of a unix socket begins with a slash, as in unix:/run/x.sock";
    if (!fill(*address, &name)) return in_quotes(text) + ": a socket's path has at most 107 bytes";
    return {};
  }
  const HostPort parts = split_host_port(text);
  if (!parts.port) return in_quotes(text) + " has no port; " + std::string(kForms);
  if (parts.bracketed ? parts.host.empty() : parts.host.find_first_of(":[]") != std::string_view::npos)
    return in_quotes(text) + " is no address: an IPv6 address stands in brackets; " + std::string(kForms);
  const std::optional<uint16_t> port = parse_port(*parts.port, 0);
  if (!port) return in_quotes(text) + ": '" + std::string(*parts.port) + "' is no port; it is a number from 0 to 65535";
  address->host = parts.host;
  address->port = *port;
  return {};
}

std::string find_obstacle(const ListenAddress& address) {
  bool stale = false;
  if (address.is_unix()) return file_in_the_way(address, &stale);
  AddressList list(nullptr, ::freeaddrinfo);
  return resolve(address, &list);
}

Listening listen_on(const ListenAddress& address) {
  if (address.is_unix()) return listen_unix(address);
  AddressList list(nullptr, ::freeaddrinfo);
  if (std::string wrong = resolve(address, &list); !wrong.empty()) return {-1, {}, std::move(wrong)};
  int fd = bind_first(address, *list);
  ListenAddress used = address;
  if (fd < 0 && address.host.empty() && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {  // no IPv6 here
    used.host = "0.0.0.0";
    if (std::string wrong = resolve(used, &list); !wrong.empty()) return {-1, {}, std::move(wrong)};
    fd = bind_first(used, *list);
  }
  if (fd < 0) {
    std::string why = "cannot listen on " + text_of(address, address.port) + ": " + std::strerror(errno);
    if (errno == EADDRINUSE) why += "; another program has this port, choose another one";
    return {-1, {}, std::move(why)};
  }
  if (used.host.empty()) used.host = "::";
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
  const uint16_t port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                                          : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  return {fd, text_of(used, port), {}};
}

}  // namespace bulkhead::http
