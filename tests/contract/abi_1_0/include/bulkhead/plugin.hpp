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

#include "bulkhead/http.hpp"
#include "bulkhead/plugin.h"

namespace bulkhead {

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

// Work that is timed and shown in traces. Begun and ended on any threads, used by one at a time.
class Span {
 public:
  Span() = default;
  Span(const bh_host* host, bh_span* span) : host_(host), span_(span) {}
  Span(Span&& other) noexcept : host_(other.host_), span_(std::exchange(other.span_, nullptr)) {}
  Span& operator=(Span&& other) noexcept {
    std::swap(host_, other.host_);
    std::swap(span_, other.span_);
    return *this;
  }
  ~Span() { end(); }

  void tag(std::string_view key, std::string_view value) {
    bh_value v{};
    v.kind = BH_TEXT;
    v.as.s = to_str(value);
    put(key, v);
  }
  void tag(std::string_view key, int64_t value) {
    bh_value v{};
    v.kind = BH_INT;
    v.as.i = value;
    put(key, v);
  }
  // Of what else it belongs to: a traceparent, as another span's context() gives it.
  void link(std::string_view traceparent) { tag("link", traceparent); }
  // The value of the header `traceparent` for an outbound call; "" where there is no trace.
  std::string context() const {
    char text[56] = "";
    if (span_ != nullptr) host_->span_context(span_, text);
    return text;
  }
  // Once; what follows does nothing.
  void end(bh_status outcome = BH_OK) {
    if (span_ != nullptr) host_->span_end(std::exchange(span_, nullptr), outcome);
  }
  bh_span* handle() const { return span_; }

 private:
  void put(std::string_view key, const bh_value& value) {
    if (span_ != nullptr) host_->span_tag(span_, to_str(key), &value);
  }

  const bh_host* host_ = nullptr;
  bh_span* span_ = nullptr;
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
  // On behalf of a request, below another span, or neither.
  Span span(std::string_view name, int32_t kind, bh_exchange* ex, const Span* parent = nullptr) const {
    return {host_, host_->span(host_, ex, parent != nullptr ? parent->handle() : nullptr, kind, to_str(name))};
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

template <typename T>
struct Boundary;

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
  // bh_flow (T::*)(const Request&), or anything that is called like it: BH_NEXT goes on, BH_DONE after `answer`.
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
  // Runs `work(request, exchange)` on the executor; what it throws is answered as from a step. For
  // work that would hold up an I/O thread, as a large body does. Throws Failure where the executor
  // is full.
  template <typename Work>
  void on_executor(const Request& request, Exchange ex, Work work) const {
    struct Posted {
      Request request;
      Exchange ex;
      Work work;
    };
    auto posted = std::make_unique<Posted>(Posted{request, std::move(ex), std::move(work)});
    const auto run = [](void* arg) {
      const std::unique_ptr<Posted> owned(static_cast<Posted*>(arg));
      const Exchange kept = owned->ex;
      try {
        owned->work(owned->request, std::move(owned->ex));
      } catch (const Problem& p) {
        kept.reply(problem(p, owned->request.id()));
      } catch (const Failure& f) {
        kept.fail(f.code, f.message);
      } catch (const std::exception& e) {
        kept.fail(BH_E_INTERNAL, e.what());
      } catch (...) {
        kept.fail(BH_E_INTERNAL, "threw something that is no std::exception");
      }
    };
    if (host_.raw()->post(host_.raw(), run, posted.get()) != BH_OK)
      throw Failure(BH_E_UNAVAILABLE, "the server is busy; try again in a moment");
    (void)posted.release();
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
        if (problem(p, to_view(rq->id)).send(host, ex) != BH_E_INVALID) return BH_DONE;
        const std::string text = "threw a Problem whose status " + std::to_string(p.status) + " is not 200-599";
        return set_error(err, BH_E_INTERNAL, text);
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

  template <typename T>
  friend struct Boundary;

  Host host_;
  std::vector<std::shared_ptr<void>> targets_;
};

template <typename Callable>
struct Plugin::Step {
  static bh_flow run(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err) {
    auto& target = *static_cast<Target<Callable>*>(self);
    const bh_host* host = target.plugin->host().raw();
    return guarded(host, ex, rq, err, [&]() -> bh_flow { return target.method(Request(host, ex, rq)); });
  }
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
  static Host host_of(void* self) { return of(self).host_; }
  static bh_status start(void* self, bh_error* err) {
    return guarded(err, [&] { of(self).start(); });
  }
  static bh_status configure(void* self, bh_str config, bh_error* err) {
    return guarded(err, [&] { of(self).configure(Json::parse(to_view(config))); });
  }
  // What has no error to fill is logged.
  template <typename Body>
  static void logged(const Host& host, std::string_view call, Body body) noexcept {
    bh_error err{};
    err.size = sizeof err;
    if (guarded(&err, body) == BH_OK) return;
    try {
      host.error(std::string(call) + " failed", {{"reason", err.message}});
    } catch (const std::exception&) {  // no memory for a line
    }
  }
  static void quiesce(void* self) {
    logged(host_of(self), "quiesce", [&] { of(self).quiesce(); });
  }
  static void stop(void* self) {
    logged(host_of(self), "stop", [&] { of(self).stop(); });
  }
  static void destroy(void* self) {
    logged(host_of(self), "destroy", [&] { delete static_cast<Plugin*>(self); });
  }
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
