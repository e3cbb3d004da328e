// bulkhead/http.hpp - answers that a plugin makes: responses, and problem details (RFC 9457).
#ifndef BULKHEAD_HTTP_HPP
#define BULKHEAD_HTTP_HPP

#include <algorithm>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/status.hpp"
#include "bulkhead/value.hpp"

namespace bulkhead {

using Json = nlohmann::json;

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

  // Hands this over. BH_E_GONE where another answer came first or the caller left.
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

}  // namespace bulkhead

#endif  // BULKHEAD_HTTP_HPP
