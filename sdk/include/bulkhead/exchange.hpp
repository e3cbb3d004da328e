// bulkhead/exchange.hpp - one request and its answer: what a step reads, changes and keeps of it.
//
// Request is lent: its views are valid until the step returns or, where an Exchange is held, until
// that is released. Exchange holds; it answers from any thread. Both share what ExchangeView
// offers.
#ifndef BULKHEAD_EXCHANGE_HPP
#define BULKHEAD_EXCHANGE_HPP

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "bulkhead/http.hpp"
#include "bulkhead/value.hpp"

namespace bulkhead {

// The first value of the field, "" where there is none. Names are in lower case.
inline std::string_view find_field(std::span<const bh_pair> fields, std::string_view name) {
  for (const bh_pair& field : fields)
    if (to_view(field.name) == name) return to_view(field.value);
  return {};
}

// Names data of type T that one plugin keeps on exchanges. Other plugins, and other instances of
// the same plugin, cannot reach it.
template <typename T>
struct Attachment {
  std::string_view name;
};

// The answer as it stands (RESPOND) or went out (COMPLETE). Lent until the step returns.
struct Outcome {
  int status = 0;  // 499 in COMPLETE where the caller left first
  std::span<const bh_pair> fields;
  std::string_view body;
  std::string_view author;  // id of the plugin that answered, "" = host
  uint64_t duration_ns = 0, bytes_out = 0;

  std::string_view field(std::string_view name) const { return find_field(fields, name); }
};

// A change to an answer.
struct Change {
  int status = 0;                        // 0 keeps
  std::span<const bh_pair> fields = {};  // replace by name; a null value removes
  bool append = false;                   // adds `fields` beside those of the same name instead
  std::optional<std::string> body = {};  // absent keeps
};

// An answer that lives elsewhere: its body is not copied. release(arg) is called once, from any
// thread, also where the answer is refused.
struct LentAnswer {
  int status = 200;
  std::span<const bh_pair> fields = {};
  std::string_view body = {};
  void (*release)(void*) = nullptr;
  void* arg = nullptr;
};

class ExchangeView {
 public:
  ExchangeView() = default;
  ExchangeView(const bh_host* host, bh_exchange* ex) : host_(host), ex_(ex) {}

  // ---- the answer, once, from any thread. BH_E_GONE where another was first or the caller left;
  // BH_E_INVALID where the status is not 200-599.
  bh_status send(Response response) const { return std::move(response).send(host_, ex_); }
  bh_status send(const LentAnswer& answer) const {
    bh_reply reply = sized<bh_reply>();
    reply.status = answer.status;
    reply.headers = answer.fields.data();
    reply.header_count = answer.fields.size();
    reply.body = to_str(answer.body);
    reply.release = answer.release;
    reply.arg = answer.arg;
    return host_->ex_reply(host_, ex_, &reply);
  }
  bool reply(Response response) const { return send(std::move(response)) == BH_OK; }
  // The status that belongs to `code`, as problem details. A 500 hides `detail` from the caller and
  // logs it.
  bool fail(bh_status code, std::string_view detail) const {
    return host_->ex_fail(host_, ex_, code, to_str(detail)) == BH_OK;
  }
  // False once the caller left or the deadline passed.
  bool live() const { return host_->ex_live(host_, ex_) != 0; }

  // ---- attributes: text that plugins tell each other; see attributes.h. "" where there is none.
  std::string_view attribute(std::string_view key) const {
    bh_str value{};
    return host_->ex_get(host_, ex_, to_str(key), &value) == BH_OK ? to_view(value) : std::string_view();
  }
  bh_status attribute(std::string_view key, std::string_view value) const {
    return host_->ex_put(host_, ex_, to_str(key), to_str(value));
  }

  // ---- data of this plugin's own, deleted with the exchange. Null where nothing is attached.
  template <typename T>
  T* attached(const Attachment<T>& key) const {
    return static_cast<T*>(host_->ex_attached(host_, ex_, to_str(key.name)));
  }
  // False, and `data` is deleted, where something is attached under the key. The data must not
  // hold this exchange, which would then never end.
  template <typename T, typename Deleter>
  bool attach(const Attachment<T>& key, std::unique_ptr<T, Deleter> data) const {
    const auto release = [](void* pointer) { Deleter()(static_cast<T*>(pointer)); };
    return host_->ex_attach(host_, ex_, to_str(key.name), data.release(), release) == BH_OK;
  }

  bh_exchange* handle() const { return ex_; }
  const bh_host* owner() const { return host_; }

 protected:
  const bh_host* host_ = nullptr;
  bh_exchange* ex_ = nullptr;
};

// A held exchange. Where its last copy goes without an answer, the host answers 500.
class Exchange : public ExchangeView {
 public:
  Exchange() = default;
  Exchange(const bh_host* host, bh_exchange* ex) : ExchangeView(host, host->ex_retain(host, ex)) {}
  explicit Exchange(const ExchangeView& view) : Exchange(view.owner(), view.handle()) {}
  Exchange(const Exchange& other)
      : ExchangeView(other.host_, other.ex_ != nullptr ? other.host_->ex_retain(other.host_, other.ex_) : nullptr) {}
  Exchange(Exchange&& other) noexcept : ExchangeView(other.host_, std::exchange(other.ex_, nullptr)) {}
  Exchange& operator=(Exchange other) noexcept {
    std::swap(host_, other.host_);
    std::swap(ex_, other.ex_);
    return *this;
  }
  ~Exchange() {
    if (ex_ != nullptr) host_->ex_release(host_, ex_);
  }
  // Goes on after a hook returned BH_PENDING.
  bool resume() const { return host_->ex_resume(host_, ex_) == BH_OK; }
  explicit operator bool() const { return ex_ != nullptr; }
};

class Request : public ExchangeView {
 public:
  Request(const bh_host* host, bh_exchange* ex, const bh_request* rq) : ExchangeView(host, ex), rq_(rq) {}

  std::string_view method() const { return to_view(rq_->method); }
  std::string_view scheme() const { return to_view(rq_->scheme); }
  std::string_view authority() const { return to_view(rq_->authority); }
  std::string_view path() const { return to_view(rq_->path); }
  std::string_view target() const { return to_view(rq_->target); }
  // The path as it was sent: not decoded, without the query, and of an absolute-form target without
  // what comes before.
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
  // Address of the caller, after trusted-proxy rules; and of the connection's other end.
  std::string_view peer() const { return to_view(rq_->peer); }
  std::string_view socket_peer() const { return to_view(rq_->socket); }
  uint32_t socket_port() const { return rq_->peer_port; }
  uint32_t http_version() const { return rq_->http; }      // 10 or 11
  bool tls() const { return (rq_->flags & BH_TLS) != 0; }  // on this host's own connection
  // On the clock of Host::now_ns.
  uint64_t received_ns() const { return rq_->received_ns; }
  uint64_t deadline_ns() const { return rq_->deadline_ns; }

  // In wire order, duplicates kept.
  std::span<const bh_pair> fields() const { return {rq_->headers, rq_->header_count}; }
  // "" where there is none. Names in lower case; the first of several.
  std::string_view header(std::string_view name) const { return find_field(fields(), name); }
  bool has_header(std::string_view name) const {
    for (const bh_pair& field : fields())
      if (to_view(field.name) == name) return true;
    return false;
  }
  // All fields of the name as one list (RFC 9110 §5.3). Absent and empty differ: an empty If-Match
  // names no version, and so forbids the write.
  std::optional<std::string> header_list(std::string_view name) const {
    std::optional<std::string> list;
    for (const bh_pair& field : fields()) {
      if (to_view(field.name) != name) continue;
      if (list) *list += ", ";
      if (!list) list.emplace();
      *list += to_view(field.value);
    }
    return list;
  }
  // Of the route's pattern, decoded. "" where there is none.
  std::string_view param(std::string_view name) const { return find_field(params(), name); }
  std::span<const bh_pair> params() const { return {rq_->params, rq_->param_count}; }

  // ---- inside a step
  // Absent before RESPOND.
  std::optional<Outcome> outcome() const {
    bh_outcome found = sized<bh_outcome>();
    if (host_->ex_outcome(host_, ex_, &found) != BH_OK) return std::nullopt;
    return Outcome{found.status,        {found.headers, found.header_count},
                   to_view(found.body), to_view(found.author),
                   found.duration_ns,   found.bytes_out};
  }
  // Up to RESPOND; before it, the change is applied when the answer comes. False where the step's
  // exchange is over, or the change has a body before RESPOND: nothing of it is applied then.
  bool edit(Change change) const {
    bh_reply reply = sized<bh_reply>();
    reply.status = change.status;
    reply.flags = change.append ? uint32_t{BH_APPEND} : 0;
    reply.headers = change.fields.data();
    reply.header_count = change.fields.size();
    if (change.body && change.body->empty()) reply.body = to_str("");
    if (change.body && !change.body->empty()) {
      auto kept = std::make_unique<std::string>(std::move(*change.body));
      reply.body = to_str(*kept);
      reply.release = [](void* arg) { delete static_cast<std::string*>(arg); };
      reply.arg = kept.release();
    }
    return host_->ex_edit(host_, ex_, &reply) == BH_OK;
  }
  // Calls run(arg) once, when the caller left or the answer is out; at once where that was before.
  void on_end(void (*run)(void*), void* arg) const { host_->ex_on_end(host_, ex_, run, arg); }

 private:
  const bh_request* rq_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_EXCHANGE_HPP
