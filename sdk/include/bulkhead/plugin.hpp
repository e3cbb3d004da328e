// bulkhead/plugin.hpp - C++20 over bulkhead/plugin.h. Header-only: it is compiled
// into the plugin, only C structs cross to the host.
//
//   class Hello : public bulkhead::Plugin {
//    public:
//     Hello(bulkhead::Host host, const bulkhead::Json& config) : Plugin(host) {
//       get("/hello/{name}", &Hello::greet, R"({"summary": "Greets."})");
//     }
//     bulkhead::Response greet(const bulkhead::Request& request) {
//       return bulkhead::text(200, "hello " + std::string(request.param("name")));
//     }
//   };
//   BULKHEAD_PLUGIN(Hello, "hello", "1.0.0", "Greets callers by name.")
//
// Errors: a step throws bulkhead::Problem for an answer the caller should see;
// anything else thrown is answered 500 and logged. Nothing thrown crosses.
// Threads: steps of one plugin run concurrently, on the host's threads.
#ifndef BULKHEAD_PLUGIN_HPP
#define BULKHEAD_PLUGIN_HPP

#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <nlohmann/json.hpp>
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

  int status;
  std::string detail;
  std::vector<FieldError> errors;
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
  const std::vector<Header>& headers() const { return headers_; }

  // Hands this over. BH_E_GONE where somebody answered first or the caller left.
  bh_status send(const bh_host* host, bh_exchange* ex) && {
    bh_pair small[8];
    std::vector<bh_pair> large;
    bh_pair* fields = small;
    if (headers_.size() > std::size(small)) {
      large.resize(headers_.size());
      fields = large.data();
    }
    for (size_t i = 0; i < headers_.size(); ++i) fields[i] = {to_str(headers_[i].first), to_str(headers_[i].second)};
    bh_reply reply{};
    reply.size = sizeof reply;
    reply.status = status_;
    reply.headers = fields;
    reply.header_count = headers_.size();
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
  std::string_view lent_;
};

inline Response text(int status, std::string body) {
  return Response(status).header("content-type", "text/plain; charset=utf-8").body(std::move(body));
}
inline Response json(int status, std::string body) {
  return Response(status).header("content-type", "application/json").body(std::move(body));
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
    for (const FieldError& error : p.errors) list.push_back({{"pointer", error.pointer}, {"detail", error.detail}});
  }
  Response response(p.status);
  response.header("content-type", "application/problem+json");
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
  // All fields of the name as one list (RFC 9110 §5.3).
  std::string header_list(std::string_view name) const {
    std::string list;
    for (size_t i = 0; i < rq_->header_count; ++i)
      if (to_view(rq_->headers[i].name) == name)
        list += (list.empty() ? "" : ", ") + std::string(to_view(rq_->headers[i].value));
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

// ------------------------------------------------------------------ the host

// A service acquired from another plugin, released with this object.
template <typename Api>
class Service {
 public:
  Service() = default;
  Service(const bh_host* host, const bh_service& service) : host_(host), service_(service) {}
  Service(Service&& other) noexcept : host_(std::exchange(other.host_, nullptr)), service_(other.service_) {}
  Service& operator=(Service&& other) noexcept {
    std::swap(host_, other.host_);
    std::swap(service_, other.service_);
    return *this;
  }
  ~Service() {
    if (host_ != nullptr) host_->release(host_, &service_);
  }
  const Api* operator->() const { return static_cast<const Api*>(service_.api); }
  void* self() const { return service_.self; }
  explicit operator bool() const { return host_ != nullptr; }

 private:
  const bh_host* host_ = nullptr;
  bh_service service_{};
};

class Host {
 public:
  using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  explicit Host(const bh_host* host) : host_(host) {}

  void log(int32_t level, std::string_view message, Fields fields = {}, bh_exchange* ex = nullptr) const {
    if (host_->log_enabled(host_, level) == 0) return;
    std::vector<bh_pair> pairs;
    for (const auto& [name, value] : fields) pairs.push_back({to_str(name), to_str(value)});
    host_->log(host_, ex, level, to_str(message), pairs.data(), pairs.size());
  }
  void info(std::string_view message, Fields fields = {}) const { log(BH_INFO, message, fields); }
  void warn(std::string_view message, Fields fields = {}) const { log(BH_WARN, message, fields); }
  void error(std::string_view message, Fields fields = {}) const { log(BH_ERROR, message, fields); }
  uint64_t now_ns() const { return host_->now_ns(host_); }
  void health(int32_t state, std::string_view why = {}) const { host_->health(host_, state, to_str(why)); }
  std::string_view instance() const { return to_view(host_->instance); }

  // Throws Failure where it is absent, too old or not granted.
  template <typename Api>
  Service<Api> acquire(std::string_view id, uint32_t min_version) const {
    bh_service service{};
    service.size = sizeof service;
    bh_error err{};
    err.size = sizeof err;
    if (const bh_status status = host_->acquire(host_, to_str(id), min_version, &service, &err); status != BH_OK)
      throw Failure(status, err.message);
    return Service<Api>(host_, service);
  }
  // Throws Failure where the id is not among the offers or taken. create and start only.
  void publish(std::string_view id, uint32_t version, const void* api, void* self) const {
    if (const bh_status status = host_->publish(host_, to_str(id), version, api, self); status != BH_OK)
      throw Failure(status, "cannot publish " + std::string(id));
  }
  template <typename Api>
  const Api* extension(std::string_view id) const {
    return static_cast<const Api*>(host_->extension(host_, to_str(id)));
  }

  // Registers a metric (create and start only) and gives one of its series. 0 = refused; recording to 0 does nothing.
  uint32_t metric(uint32_t kind, std::string_view name, std::string_view help,
                  std::span<const std::string_view> labels = {}, std::span<const double> buckets = {}) const {
    std::vector<bh_str> names;
    for (const std::string_view label : labels) names.push_back(to_str(label));
    bh_metric m{};
    m.size = sizeof m;
    m.kind = kind;
    m.name = to_str(name);
    m.help = to_str(help);
    m.labels = names.data();
    m.label_count = names.size();
    m.buckets = buckets.empty() ? nullptr : buckets.data();
    m.bucket_count = buckets.size();
    uint32_t id = 0;
    return host_->metric(host_, &m, &id) == BH_OK ? id : 0;
  }
  uint32_t series(uint32_t metric, std::span<const std::string_view> labels = {}) const {
    std::vector<bh_str> values;
    for (const std::string_view label : labels) values.push_back(to_str(label));
    uint32_t id = 0;
    return metric != 0 && host_->series(host_, metric, values.data(), values.size(), &id) == BH_OK ? id : 0;
  }
  void record(uint32_t series, double value, bh_exchange* exemplar = nullptr) const {
    host_->record(host_, series, value, exemplar);
  }
  const bh_host* raw() const { return host_; }

 private:
  const bh_host* host_;
};

// ---------------------------------------------------------------- the plugin

struct RouteOptions {
  std::string_view scope = {};  // "" = public
  bool blocking = false;        // runs on the executor
  uint64_t max_body = 0;        // 0 = host default
  uint32_t timeout_ms = 0;      // 0 = host default
};

// Base of a plugin. Routes and hooks are registered in the constructor, so that `bulkhead
// routes` and `check` see them without starting anything.
class Plugin {
 public:
  explicit Plugin(Host host) : host_(host) {}
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;
  virtual ~Plugin() = default;

  virtual void start() {}
  virtual void configure(const Json& /*config*/) { throw Failure(BH_E_RESTART, "makes a new instance instead"); }
  virtual void quiesce() {}
  virtual void stop() {}
  virtual const void* extension(std::string_view /*id*/) { return nullptr; }

 protected:
  const Host& host() const { return host_; }

  // A step that answers at once: Response (T::*)(const Request&).
  // One that answers later: void (T::*)(const Request&, Exchange). Keep the exchange, answer from anywhere.
  template <typename Method>
  void route(std::string_view method, std::string_view pattern, Method step, std::string_view operation = {},
             RouteOptions options = {}) {
    auto* target = keep(step);
    bh_route r{};
    r.size = sizeof r;
    r.flags = options.blocking ? uint32_t{BH_BLOCKING} : 0;
    r.method = to_str(method);
    r.pattern = to_str(pattern);
    r.step = &Step<Method>::run;
    r.self = target;
    r.operation = to_str(operation);
    r.scope = to_str(options.scope);
    r.max_body = options.max_body;
    r.timeout_ms = options.timeout_ms;
    check(&bh_host::route, &r);
  }
  template <typename Method>
  void get(std::string_view pattern, Method step, std::string_view operation = {}, RouteOptions options = {}) {
    route("GET", pattern, step, operation, options);
  }
  template <typename Method>
  void post(std::string_view pattern, Method step, std::string_view operation = {}, RouteOptions options = {}) {
    route("POST", pattern, step, operation, options);
  }
  template <typename Method>
  void put(std::string_view pattern, Method step, std::string_view operation = {}, RouteOptions options = {}) {
    route("PUT", pattern, step, operation, options);
  }
  template <typename Method>
  void patch(std::string_view pattern, Method step, std::string_view operation = {}, RouteOptions options = {}) {
    route("PATCH", pattern, step, operation, options);
  }
  template <typename Method>
  void del(std::string_view pattern, Method step, std::string_view operation = {}, RouteOptions options = {}) {
    route("DELETE", pattern, step, operation, options);
  }
  // bh_flow (T::*)(const Request&): BH_NEXT goes on, BH_DONE after `answer`.
  template <typename Method>
  void hook(uint32_t phase, Method step, std::string_view routes = {}, bool blocking = false) {
    auto* target = keep(step);
    bh_hook k{};
    k.size = sizeof k;
    k.phase = phase;
    k.flags = blocking ? uint32_t{BH_BLOCKING} : 0;
    k.step = &Step<Method>::run;
    k.self = target;
    k.routes = to_str(routes);
    check(&bh_host::hook, &k);
  }
  bh_flow answer(const Request& request, Response response) const {
    return std::move(response).send(host_.raw(), request.handle()) == BH_E_INVALID ? bh_flow{BH_E_INTERNAL}
                                                                                   : bh_flow{BH_DONE};
  }

 private:
  template <typename Method>
  struct Target {
    Plugin* plugin;
    Method method;
  };
  template <typename Method>
  struct Step;

  template <typename Method>
  Target<Method>* keep(Method method) {
    auto target = std::make_shared<Target<Method>>(Target<Method>{this, method});
    targets_.push_back(target);
    return target.get();
  }
  template <typename Member, typename What>
  void check(Member member, const What* what) {
    bh_error err{};
    err.size = sizeof err;
    if (const bh_status status = (host_.raw()->*member)(host_.raw(), what, &err); status != BH_OK)
      throw Failure(status, err.message);
  }
  template <typename Body>
  static bh_flow guarded(const bh_host* host, bh_exchange* ex, const bh_request* rq, bh_error* err,
                         Body body) noexcept {
    try {
      return body();
    } catch (const Problem& p) {
      try {
        problem(p, to_view(rq->id)).send(host, ex);
        return BH_DONE;
      } catch (...) {
        return set_error(err, BH_E_INTERNAL, "out of memory");
      }
    } catch (const Failure& f) {
      return set_error(err, f.code, f.message);
    } catch (const std::exception& e) {
      return set_error(err, BH_E_INTERNAL, e.what());
    } catch (...) {
      return set_error(err, BH_E_INTERNAL, "threw something that is no std::exception");
    }
  }

  Host host_;
  std::vector<std::shared_ptr<void>> targets_;
};

template <typename T>
struct Plugin::Step<Response (T::*)(const Request&)> {
  static bh_flow run(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err) {
    auto& target = *static_cast<Target<Response (T::*)(const Request&)>*>(self);
    const bh_host* host = target.plugin->host().raw();
    return guarded(host, ex, rq, err, [&]() -> bh_flow {
      Response response = (static_cast<T*>(target.plugin)->*target.method)(Request(host, ex, rq));
      if (std::move(response).send(host, ex) == BH_E_INVALID)
        return set_error(err, BH_E_INTERNAL, "the response's status is not 200-599");
      return BH_DONE;
    });
  }
};

template <typename T>
struct Plugin::Step<void (T::*)(const Request&, Exchange)> {
  static bh_flow run(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err) {
    auto& target = *static_cast<Target<void (T::*)(const Request&, Exchange)>*>(self);
    const bh_host* host = target.plugin->host().raw();
    return guarded(host, ex, rq, err, [&]() -> bh_flow {
      (static_cast<T*>(target.plugin)->*target.method)(Request(host, ex, rq), Exchange(host, ex));
      return BH_PENDING;
    });
  }
};

template <typename T>
struct Plugin::Step<bh_flow (T::*)(const Request&)> {
  static bh_flow run(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err) {
    auto& target = *static_cast<Target<bh_flow (T::*)(const Request&)>*>(self);
    const bh_host* host = target.plugin->host().raw();
    return guarded(host, ex, rq, err,
                   [&] { return (static_cast<T*>(target.plugin)->*target.method)(Request(host, ex, rq)); });
  }
};

// What a plugin declares beside its name. All optional.
struct Manifest {
  std::string_view schema = R"({"type":"object","additionalProperties":false,"properties":{}})";
  std::span<const bh_need> needs = {};
  std::span<const bh_need> offers = {};
  std::span<const bh_str> grants = {};
  std::span<const bh_str> after = {};
  std::span<const bh_str> before = {};
  uint32_t flags = 0;
};

constexpr bh_need service(std::string_view id, uint32_t version, bool optional = false) {
  return {to_str(id), version, optional ? 1u : 0u};
}

// The C functions of one plugin class.
template <typename T>
struct Boundary {
  template <typename Body>
  static bh_status guarded(bh_error* err, Body body) noexcept {
    try {
      body();
      return BH_OK;
    } catch (const Failure& f) {
      return set_error(err, f.code == BH_OK ? BH_E_INTERNAL : f.code, f.message);
    } catch (const std::exception& e) {
      return set_error(err, BH_E_INTERNAL, e.what());
    } catch (...) {
      return set_error(err, BH_E_INTERNAL, "threw something that is no std::exception");
    }
  }
  static bh_status create(const bh_host* host, bh_str config, void** self, bh_error* err) {
    return guarded(err, [&] {
      *self = static_cast<Plugin*>(std::make_unique<T>(Host(host), Json::parse(to_view(config))).release());
    });
  }
  static Plugin& of(void* self) { return *static_cast<Plugin*>(self); }
  static bh_status start(void* self, bh_error* err) {
    return guarded(err, [&] { of(self).start(); });
  }
  static bh_status configure(void* self, bh_str config, bh_error* err) {
    return guarded(err, [&] { of(self).configure(Json::parse(to_view(config))); });
  }
  static void quiesce(void* self) {
    guarded(nullptr, [&] { of(self).quiesce(); });
  }
  static void stop(void* self) {
    guarded(nullptr, [&] { of(self).stop(); });
  }
  static void destroy(void* self) { delete static_cast<Plugin*>(self); }
  static const void* extension(void* self, bh_str id) {
    const void* found = nullptr;
    guarded(nullptr, [&] { found = of(self).extension(to_view(id)); });
    return found;
  }
  static constexpr bh_plugin describe(std::string_view id, std::string_view version, std::string_view summary,
                                      const Manifest& m) {
    return {sizeof(bh_plugin),
            BH_ABI_MAJOR,
            BH_ABI_MINOR,
            m.flags,
            0,
            to_str(id),
            to_str(version),
            to_str(summary),
            to_str(m.schema),
            m.needs.data(),
            m.needs.size(),
            m.offers.data(),
            m.offers.size(),
            m.grants.data(),
            m.grants.size(),
            m.after.data(),
            m.after.size(),
            m.before.data(),
            m.before.size(),
            &create,
            &start,
            &configure,
            &quiesce,
            &stop,
            &destroy,
            &extension};
  }
};

}  // namespace bulkhead

// The one macro: exports class T as a plugin. After the summary may follow members of Manifest,
// `.schema = ..., .grants = ...`.
#define BULKHEAD_PLUGIN(T, id, version, summary, ...)                                                          \
  BH_NOTE(BH_ABI_MINOR);                                                                                       \
  extern "C" BH_EXPORT const bh_plugin* bh_plugin_v1(void) {                                                   \
    static constexpr ::bulkhead::Manifest manifest{__VA_ARGS__};                                               \
    static constexpr bh_plugin descriptor = ::bulkhead::Boundary<T>::describe(id, version, summary, manifest); \
    return &descriptor;                                                                                        \
  }

#endif  // BULKHEAD_PLUGIN_HPP
