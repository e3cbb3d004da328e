// bulkhead/http.hpp - requests, responses and problems as a plugin in C++ sees them.
// Included by bulkhead/plugin.hpp.
#ifndef BULKHEAD_HTTP_HPP
#define BULKHEAD_HTTP_HPP

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/plugin.h"
#include "bulkhead/status.hpp"

namespace bulkhead {

using Json = nlohmann::json;

inline std::string_view to_view(bh_str s) {
  return s.ptr == nullptr ? std::string_view() : std::string_view(s.ptr, s.len);
}
constexpr bh_str to_str(std::string_view s) { return {s.data() == nullptr ? "" : s.data(), s.size()}; }

inline bh_status set_error(bh_error* err, bh_status code, std::string_view message) noexcept {
  if (err == nullptr || !BH_HAS(err, message)) return code;
  const size_t n = std::min(message.size(), sizeof err->message - 1);
  std::memcpy(err->message, message.data(), n);
  err->message[n] = '\0';
  err->code = code;
  return code;
}

// What is wrong at one place of a body (RFC 9457, with JSON pointers).
struct FieldError {
  std::string pointer, detail;
};

// An answer with problem details. Thrown from a step, or made into a Response.
class Problem : public std::exception {
 public:
  Problem(int http_status, std::string text, std::vector<FieldError> field_errors = {})
      : status(http_status), detail(std::move(text)), errors(std::move(field_errors)) {}
  const char* what() const noexcept override { return detail.c_str(); }

  static constexpr size_t kMostErrors = 32;  // that an answer lists; of the others it says how many

  int status;
  std::string detail;
  std::vector<FieldError> errors;
  size_t more_errors = 0;  // beside those in `errors`
  std::vector<std::pair<std::string, std::string>> headers;
};

// An error code of the contract, thrown by wrappers of host calls.
class Failure : public std::exception {
 public:
  Failure(bh_status status, std::string text) : code(status), message(std::move(text)) {}
  const char* what() const noexcept override { return message.c_str(); }

  bh_status code;
  std::string message;
};

// ---------------------------------------------------------------- the answer

class Response {
 public:
  using Header = std::pair<std::string, std::string>;

  Response() = default;
  explicit Response(int status) : status_(status) {}

  Response& header(std::string name, std::string value) & {
    headers_.emplace_back(std::move(name), std::move(value));
    return *this;
  }
  Response&& header(std::string name, std::string value) && {
    return std::move(header(std::move(name), std::move(value)));
  }
  // The media type: a constant, which is not copied.
  Response& type(std::string_view constant) & {
    type_ = constant;
    return *this;
  }
  Response&& type(std::string_view constant) && { return std::move(type(constant)); }
  Response& body(std::string text) & {
    owned_ = std::move(text);
    lent_ = {};
    return *this;
  }
  Response&& body(std::string text) && { return std::move(body(std::move(text))); }
  // Not copied: `text` lives as long as the plugin.
  Response&& lend(std::string_view text) && {
    lent_ = text;
    return std::move(*this);
  }

  int status() const { return status_; }
  std::string_view body() const { return lent_.data() != nullptr ? lent_ : std::string_view(owned_); }

  // Hands this over. BH_E_GONE where somebody answered first or the caller left.
  bh_status send(const bh_host* host, bh_exchange* ex) && {
    bh_pair small[8];
    std::vector<bh_pair> large;
    bh_pair* fields = small;
    if (headers_.size() + 1 > std::size(small)) {
      large.resize(headers_.size() + 1);
      fields = large.data();
    }
    size_t count = 0;
    if (!type_.empty()) fields[count++] = {to_str("content-type"), to_str(type_)};
    for (const Header& each : headers_) fields[count++] = {to_str(each.first), to_str(each.second)};
    bh_reply reply{};
    reply.size = sizeof reply;
    reply.status = status_;
    reply.headers = fields;
    reply.header_count = count;
    if (lent_.data() != nullptr) {
      reply.body = to_str(lent_);
      reply.release = [](void*) {};
    } else if (owned_.size() <= kCopied) {
      reply.body = to_str(owned_);
    } else {
      auto kept = std::make_unique<std::string>(std::move(owned_));
      reply.body = to_str(*kept);
      reply.release = [](void* arg) { delete static_cast<std::string*>(arg); };
      reply.arg = kept.release();
    }
    return host->ex_reply(host, ex, &reply);
  }

 private:
  static constexpr size_t kCopied = 1024;  // below, the host's copy is cheaper than an allocation

  int status_ = 200;
  std::vector<Header> headers_;
  std::string owned_;
  std::string_view lent_, type_;
};

inline Response text(int status, std::string body) {
  return Response(status).type("text/plain; charset=utf-8").body(std::move(body));
}
inline Response json(int status, std::string body) {
  return Response(status).type("application/json").body(std::move(body));
}
inline Response json(int status, const Json& body) {
  return json(status, body.dump(-1, ' ', false, Json::error_handler_t::replace));
}
inline Response problem(const Problem& p, std::string_view request_id) {
  nlohmann::ordered_json body = {{"type", "about:blank"},
                                 {"title", reason_phrase(p.status)},
                                 {"status", p.status},
                                 {"detail", p.detail},
                                 {"instance", request_id}};
  if (!p.errors.empty()) {
    auto& list = body["errors"] = nlohmann::ordered_json::array();
    const size_t listed = std::min(p.errors.size(), Problem::kMostErrors);
    for (const FieldError& error : std::span(p.errors).first(listed))
      list.push_back({{"pointer", error.pointer}, {"detail", error.detail}});
    if (const size_t more = p.errors.size() - listed + p.more_errors; more != 0)
      list.push_back({{"pointer", ""}, {"detail", "and " + std::to_string(more) + " more"}});
  }
  Response response(p.status);
  response.type("application/problem+json");
  for (const auto& [name, value] : p.headers) response.header(name, value);
  return std::move(response).body(body.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// --------------------------------------------------------------- the request

// Views into the exchange: valid until the step returns, or while an Exchange is held.
class Request {
 public:
  Request(const bh_host* host, bh_exchange* ex, const bh_request* rq) : host_(host), ex_(ex), rq_(rq) {}

  std::string_view method() const { return to_view(rq_->method); }
  std::string_view path() const { return to_view(rq_->path); }
  std::string_view target() const { return to_view(rq_->target); }
  // The path as it was sent: not decoded, without the query, and of an absolute-form target without what comes before.
  std::string_view path_as_sent() const {
    std::string_view sent = target().substr(0, target().find('?'));
    if (const size_t scheme = sent.find("://"); scheme != std::string_view::npos && !sent.starts_with('/'))
      sent.remove_prefix(std::min(sent.find('/', scheme + 3), sent.size()));
    return sent.empty() ? std::string_view("/") : sent;
  }
  std::string_view query() const { return to_view(rq_->query); }
  std::string_view body() const { return to_view(rq_->body); }
  std::string_view route() const { return to_view(rq_->route); }
  std::string_view id() const { return to_view(rq_->id); }
  std::string_view peer() const { return to_view(rq_->peer); }
  uint64_t deadline_ns() const { return rq_->deadline_ns; }
  // "" where there is none. Names in lower case; the first of several.
  std::string_view header(std::string_view name) const {
    const bh_str* value = find(rq_->headers, rq_->header_count, name);
    return value == nullptr ? std::string_view() : to_view(*value);
  }
  // All fields of the name as one list (RFC 9110 §5.3); nothing where there is none, which is not
  // an empty one: an empty If-Match names no version, and so forbids the write.
  std::optional<std::string> header_list(std::string_view name) const {
    std::optional<std::string> list;
    for (size_t i = 0; i < rq_->header_count; ++i) {
      if (to_view(rq_->headers[i].name) != name) continue;
      if (list) *list += ", ";
      if (!list) list.emplace();
      *list += to_view(rq_->headers[i].value);
    }
    return list;
  }
  bool has_header(std::string_view name) const { return find(rq_->headers, rq_->header_count, name) != nullptr; }
  std::string_view param(std::string_view name) const {
    const bh_str* value = find(rq_->params, rq_->param_count, name);
    return value == nullptr ? std::string_view() : to_view(*value);
  }
  std::string_view attribute(std::string_view key) const {
    bh_str value{};
    return host_->ex_get(host_, ex_, to_str(key), &value) == BH_OK ? to_view(value) : std::string_view();
  }
  bh_status attribute(std::string_view key, std::string_view value) const {
    return host_->ex_put(host_, ex_, to_str(key), to_str(value));
  }
  const bh_request& raw() const { return *rq_; }
  bh_exchange* handle() const { return ex_; }

 private:
  static const bh_str* find(const bh_pair* pairs, size_t count, std::string_view name) {
    for (size_t i = 0; i < count; ++i)
      if (to_view(pairs[i].name) == name) return &pairs[i].value;
    return nullptr;
  }

  const bh_host* host_;
  bh_exchange* ex_;
  const bh_request* rq_;
};

// A held exchange: answer it from any thread, or drop the last copy and the host answers 500.
class Exchange {
 public:
  Exchange() = default;
  Exchange(const bh_host* host, bh_exchange* ex) : host_(host), ex_(host->ex_retain(host, ex)) {}
  Exchange(const Exchange& other)
      : host_(other.host_), ex_(other.ex_ != nullptr ? host_->ex_retain(host_, other.ex_) : nullptr) {}
  Exchange(Exchange&& other) noexcept : host_(other.host_), ex_(std::exchange(other.ex_, nullptr)) {}
  Exchange& operator=(Exchange other) noexcept {
    std::swap(host_, other.host_);
    std::swap(ex_, other.ex_);
    return *this;
  }
  ~Exchange() {
    if (ex_ != nullptr) host_->ex_release(host_, ex_);
  }
  // False where somebody answered first or the caller left.
  bool reply(Response response) const { return std::move(response).send(host_, ex_) == BH_OK; }
  bool fail(bh_status code, std::string_view detail) const {
    return host_->ex_fail(host_, ex_, code, to_str(detail)) == BH_OK;
  }
  bool resume() const { return host_->ex_resume(host_, ex_) == BH_OK; }
  bool live() const { return host_->ex_live(host_, ex_) != 0; }
  bh_exchange* handle() const { return ex_; }
  explicit operator bool() const { return ex_ != nullptr; }

 private:
  const bh_host* host_ = nullptr;
  bh_exchange* ex_ = nullptr;
};

}  // namespace bulkhead

#endif  // BULKHEAD_HTTP_HPP
