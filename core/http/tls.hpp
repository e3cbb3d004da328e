// TLS 1.2 and 1.3 for a listener, through OpenSSL 3.
//
// A Context keeps one certificate and is exchanged for a new one when its files
// change; connections that began under the old one end under it. Sessions resume
// by ticket (RFC 8446 §2.2, RFC 5077) until the next reload, which begins new keys.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct ssl_st;
struct ssl_ctx_st;

namespace bulkhead::http::tls {

enum class ClientCertificate : uint8_t { kNone, kOptional, kRequired };

struct Settings {
  std::string certificate;  // PEM: the leaf, then its chain
  std::string key;          // PEM, without a passphrase
  std::string client_ca;    // PEM: authorities that may sign clients' certificates
  ClientCertificate client_certificate = ClientCertificate::kNone;
};

// What is wrong, and with which key of the settings.
struct Issue {
  std::string key, message;
};

// One connection's side. One thread; never blocks. The socket is the caller's.
class Session {
 public:
  Session(ssl_st* adopted, int fd) : ssl_(adopted), fd_(fd) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // 1 once done; else as read(). Before anything is read or written.
  ssize_t handshake();
  // What ALPN agreed on (RFC 7301), "" where the client did not ask.
  std::string_view protocol() const;
  // As recv(2) and writev(2) on a non-blocking socket: -1 with errno, EAGAIN until the socket is
  // ready. After EAGAIN write the same bytes again, or more.
  ssize_t read(std::span<char> to);
  ssize_t write(std::span<const iovec> parts);
  // Says that nothing more will be written (close_notify). False where the socket is full: again
  // later.
  bool end();

  // A read waits until the socket takes bytes.
  bool wants_write() const { return wants_write_; }
  // Bytes that the socket no longer holds, so that no event will tell of them.
  bool pending() const;
  // RFC 2253, "CN=alice,O=Example"; "" without a verified certificate.
  std::string_view client_subject() const { return client_subject_; }

 private:
  ssize_t failed(int result);
  void handshake_done();

  ssl_st* ssl_;
  int fd_;
  bool established_ = false, wants_write_ = false;
  std::string client_subject_;
};

class Context {
 public:
  explicit Context(Settings settings) : settings_(std::move(settings)) {}

  // Reads the files; on an issue what was loaded before stays in use. [one thread at a time]
  std::optional<Issue> load();
  // True where a file is not the one that load() saw last, whether that worked or not.
  bool changed() const;
  // [any] Null when out of memory.
  std::unique_ptr<Session> accept(int fd) const;
  const Settings& settings() const { return settings_; }
  // [any] When the certificate in use ends, in seconds since 1970; 0 before the first load().
  int64_t expires() const;

 private:
  using Stamp = std::array<int64_t, 9>;  // device, inode, time of each file
  Stamp stamp() const;

  const Settings settings_;
  Stamp loaded_{};
  mutable std::mutex mutex_;
  std::shared_ptr<ssl_ctx_st> context_;
  int64_t expires_ = 0;
};

}  // namespace bulkhead::http::tls
