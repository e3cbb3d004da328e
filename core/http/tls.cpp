#include "core/http/tls.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "core/http/protocol.hpp"

namespace bulkhead::http::tls {

namespace {

// One record holds so much (RFC 8446 §5.1).
constexpr size_t kRecord = 16 * 1024;
// Then other connections get their turn.
constexpr ssize_t kWriteAtOnce = 256 * 1024;

std::string reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* text = ERR_reason_error_string(code);
  if (ERR_GET_LIB(code) == ERR_LIB_SYS) text = std::strerror(ERR_GET_REASON(code));
  std::string why = text != nullptr ? text : "unknown error";
  ERR_clear_error();
  return why;
}

// What protocols() lists, each behind its length.
std::string protocol_names() {
  std::string names;
  for (const ProtocolRow& row : protocols()) names.append(1, static_cast<char>(row.alpn.size())).append(row.alpn);
  return names;
}

// RFC 7301: one that is spoken here where the client names protocols, else a fatal alert.
int select_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned in_size, void* /*arg*/) {
  static const std::string kSpoken = protocol_names();
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(kSpoken.data()),
                            static_cast<unsigned>(kSpoken.size()), in, in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int no_passphrase(char* /*to*/, int /*size*/, int /*writing*/, void* /*arg*/) { return 0; }

std::string text_of(const X509_NAME* name) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), BIO_free);
  if (!memory || X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

// ------------------------------------------------------------------- session

Session::~Session() { SSL_free(ssl_); }

bool Session::pending() const { return SSL_pending(ssl_) > 0; }

void Session::handshake_done() {
  established_ = true;
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate != nullptr && SSL_get_verify_result(ssl_) == X509_V_OK)
    client_subject_ = text_of(X509_get_subject_name(certificate));
}

// Turns OpenSSL's answer into errno's terms.
ssize_t Session::failed(int result) {
  const int kind = SSL_get_error(ssl_, result);
  wants_write_ = kind == SSL_ERROR_WANT_WRITE;
  if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
    errno = EAGAIN;
    return -1;
  }
  if (kind == SSL_ERROR_ZERO_RETURN) return 0;
  if (kind == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST) {
    static constexpr std::string_view kAnswer =
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 24\r\n\r\n"
        "This port speaks https.\n";
    [[maybe_unused]] ssize_t n = ::send(fd_, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    char rest[4096];  // read, or closing would reset the connection and take the answer along
    n = ::recv(fd_, rest, sizeof rest, MSG_DONTWAIT);
  }
  ERR_clear_error();
  errno = ECONNRESET;
  return -1;
}

ssize_t Session::handshake() {
  ERR_clear_error();
  wants_write_ = false;
  const int n = SSL_do_handshake(ssl_);
  if (n != 1) return failed(n);
  handshake_done();
  return 1;
}

std::string_view Session::protocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

ssize_t Session::read(std::span<char> to) {
  ERR_clear_error();
  wants_write_ = false;
  const int n = SSL_read(ssl_, to.data(), static_cast<int>(std::min<size_t>(to.size(), INT_MAX)));
  return n > 0 ? n : failed(n);
}

ssize_t Session::write(std::span<const iovec> parts) {
  // Small parts share a record; a large one goes out as it is. What is written depends on the bytes
  // alone, so that a write that is tried again is the same one.
  static thread_local std::array<char, kRecord> gathered;
  ssize_t written = 0;
  size_t offset = 0;
  while (!parts.empty()) {
    const char* data = static_cast<const char*>(parts.front().iov_base) + offset;
    size_t size = std::min(parts.front().iov_len - offset, kRecord);
    if (size < kRecord && parts.size() > 1) {
      size = 0;
      size_t skip = offset;
      for (const iovec& part : parts) {
        const size_t count = std::min(part.iov_len - skip, kRecord - size);
        std::memcpy(gathered.data() + size, static_cast<const char*>(part.iov_base) + skip, count);
        size += count;
        skip = 0;
        if (size == kRecord) break;
      }
      data = gathered.data();
    }
    ERR_clear_error();
    const int n = SSL_write(ssl_, data, static_cast<int>(size));
    if (n <= 0) {
      if (written != 0) {
        ERR_clear_error();
        return written;
      }
      if (failed(n) == 0) errno = EPIPE;
      wants_write_ = false;  // the caller knows
      return -1;
    }
    written += n;
    if (written >= kWriteAtOnce) return written;
    offset += static_cast<size_t>(n);
    while (!parts.empty() && offset >= parts.front().iov_len) {
      offset -= parts.front().iov_len;
      parts = parts.subspan(1);
    }
  }
  return written;
}

bool Session::end() {
  if (!established_) return true;
  ERR_clear_error();
  const int result = SSL_shutdown(ssl_);
  const bool later = result < 0 && SSL_get_error(ssl_, result) == SSL_ERROR_WANT_WRITE;
  ERR_clear_error();
  return !later;
}

// ------------------------------------------------------------------- context

Context::Stamp Context::stamp() const {
  Stamp stamp{};
  size_t at = 0;
  for (const std::string& file : {settings_.certificate, settings_.key, settings_.client_ca}) {
    struct stat info {};
    if (!file.empty() && ::stat(file.c_str(), &info) == 0) {
      stamp[at] = static_cast<int64_t>(info.st_dev);
      stamp[at + 1] = static_cast<int64_t>(info.st_ino);
      stamp[at + 2] = static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
    }
    at += 3;
  }
  return stamp;
}

bool Context::changed() const { return stamp() != loaded_; }

std::optional<Issue> Context::load() {
  loaded_ = stamp();
  ERR_clear_error();
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return Issue{"", "OpenSSL: " + reason()};
  SSL_CTX* ctx = context.get();
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");  // TLS 1.2; those of 1.3 are all sound
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // Or one read would take records that carry no data, as many as a client cares to send.
  SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);  // tickets need no memory here
  SSL_CTX_set_alpn_select_cb(ctx, select_protocol, nullptr);
  SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);  // or OpenSSL would ask at the terminal

  if (SSL_CTX_use_certificate_chain_file(ctx, settings_.certificate.c_str()) != 1)
    return Issue{"certificate", settings_.certificate + " is no certificate in PEM: " + reason()};
  if (SSL_CTX_use_PrivateKey_file(ctx, settings_.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return Issue{"key", settings_.key + " is not a PEM private key, without a passphrase, that belongs to " +
                            settings_.certificate + ": " + reason()};
  if (settings_.client_certificate != ClientCertificate::kNone) {
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(settings_.client_ca.c_str());
    if (names == nullptr || SSL_CTX_load_verify_file(ctx, settings_.client_ca.c_str()) != 1)
      return Issue{"client_ca", settings_.client_ca + " has no certificates in PEM: " + reason()};
    // A session resumes only where the same authorities were trusted.
    std::string subjects;
    for (int i = 0; i < sk_X509_NAME_num(names); ++i) subjects += text_of(sk_X509_NAME_value(names, i)) + "\n";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(subjects.data(), subjects.size(), digest, &size, EVP_sha256(), nullptr);
    SSL_CTX_set_session_id_context(ctx, digest, std::min(size, unsigned{SSL_MAX_SID_CTX_LENGTH}));
    SSL_CTX_set_client_CA_list(ctx, names);
    const bool required = settings_.client_certificate == ClientCertificate::kRequired;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  }
  tm end{};
  ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(ctx)), &end);
  const std::lock_guard lock(mutex_);
  context_ = context;
  expires_ = timegm(&end);
  return std::nullopt;
}

int64_t Context::expires() const {
  const std::lock_guard lock(mutex_);
  return expires_;
}

std::unique_ptr<Session> Context::accept(int fd) const {
  std::shared_ptr<SSL_CTX> context;
  {
    const std::lock_guard lock(mutex_);
    context = context_;
  }
  ERR_clear_error();
  SSL* ssl = SSL_new(context.get());
  if (ssl == nullptr || SSL_set_fd(ssl, fd) != 1) {
    SSL_free(ssl);
    ERR_clear_error();
    return nullptr;
  }
  SSL_set_accept_state(ssl);
  return std::make_unique<Session>(ssl, fd);
}

}  // namespace bulkhead::http::tls
