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
#include <type_traits>
#include <utility>
#include <vector>

#include "bulkhead/attributes.h"
#include "bulkhead/command.hpp"
#include "bulkhead/exchange.hpp"
#include "bulkhead/host.hpp"
#include "bulkhead/http.hpp"
#include "bulkhead/plugin.h"
#include "bulkhead/task.hpp"

namespace bulkhead {

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

  // A step that answers at once: Response (T::*)(const Request&). One that waits: Task<Response>
  // (T::*)(Request), a coroutine; see task.hpp. One that answers later: void (T::*)(const Request&,
  // Exchange). Keep the exchange, answer from anywhere.
  template <typename Method>
  void route(std::string_view method, std::string_view pattern, Method step, std::string_view operation = {},
             RouteOptions options = {}) {
    auto* target = keep(step);
    bh_route r = sized<bh_route>();
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
  // Anything called with a Request that returns bh_flow or, before RESPOND, Task<bh_flow>: BH_NEXT
  // goes on, BH_DONE after `answer`.
  template <typename Method>
  void hook(uint32_t phase, Method step, std::string_view routes = {}, bool blocking = false) {
    if (Step<Method>::kWaits && phase >= BH_RESPOND)
      throw Failure(BH_E_INVALID, "a hook of RESPOND or COMPLETE cannot be a coroutine: it could not see the answer");
    auto* target = keep(step);
    bh_hook k = sized<bh_hook>();
    k.phase = phase;
    k.flags = blocking ? uint32_t{BH_BLOCKING} : 0;
    k.step = &Step<Method>::run;
    k.self = target;
    k.routes = to_str(routes);
    check(&bh_host::hook, &k);
  }
  // A command for `bulkhead run ID NAME`; see command.hpp. The texts live as long as the plugin.
  void command(std::string_view name, std::string_view usage, std::string_view summary, Commands::Run run) {
    commands_.add(name, usage, summary, std::move(run));
  }
  bh_flow answer(const Request& request, Response response) const {
    return request.send(std::move(response)) == BH_E_INVALID ? bh_flow{BH_E_INTERNAL} : bh_flow{BH_DONE};
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
    bh_error err = sized<bh_error>();
    if (const bh_status status = (host_.raw()->*member)(host_.raw(), what, &err); status != BH_OK)
      throw Failure(status, err.message);
  }
  template <typename Body>
  static bh_flow guarded(const bh_host* host, bh_exchange* ex, const bh_request* rq, bh_error* err,
                         Body body) noexcept {
    try {
      return body();
    } catch (const Gone& gone) {
      return set_error(err, BH_E_TIMEOUT, gone.what());
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
  Commands commands_;
};

namespace detail {

// The parameter of a callable.
template <typename Result, typename T, typename Argument>
std::type_identity<Argument> parameter(Result (T::*)(Argument));
template <typename Result, typename T, typename Argument>
std::type_identity<Argument> parameter(Result (T::*)(Argument) const);
template <typename Callable>
auto parameter_of() {
  if constexpr (std::is_member_function_pointer_v<Callable>)
    return decltype(parameter(std::declval<Callable>()))();
  else
    return decltype(parameter(&Callable::operator()))();
}

}  // namespace detail

template <typename Callable>
struct Plugin::Step {
  template <typename T, typename Result, typename Argument>
  static Result call(Plugin* plugin, Result (T::*method)(Argument), const Request& request) {
    return (static_cast<T*>(plugin)->*method)(request);
  }
  template <typename Function>
  static auto call(Plugin* /*plugin*/, Function& function, const Request& request) {
    return function(request);
  }
  using Result = decltype(call(nullptr, std::declval<Callable&>(), std::declval<const Request&>()));
  static constexpr bool kWaits = std::is_same_v<Result, Task<bh_flow>>;

  static bh_flow run(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err) {
    auto& target = *static_cast<Target<Callable>*>(self);
    const bh_host* host = target.plugin->host().raw();
    return guarded(host, ex, rq, err, [&]() -> bh_flow {
      const Request request(host, ex, rq);
      if constexpr (kWaits) {
        static_assert(std::is_same_v<typename decltype(detail::parameter_of<Callable>())::type, Request>,
                      "a coroutine takes its Request by value: a reference dangles once it waits");
        return bulkhead::start(request, call(target.plugin, target.method, request));
      } else {
        return call(target.plugin, target.method, request);
      }
    });
  }
};

template <typename T>
struct Plugin::Step<Task<Response> (T::*)(Request)> {
  static bh_flow run(void* self, bh_exchange* ex, const bh_request* rq, bh_error* err) {
    auto& target = *static_cast<Target<Task<Response> (T::*)(Request)>*>(self);
    const bh_host* host = target.plugin->host().raw();
    return guarded(host, ex, rq, err, [&] {
      const Request request(host, ex, rq);
      return bulkhead::start(request, (static_cast<T*>(target.plugin)->*target.method)(request));
    });
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

// The OpenAPI operations of a plugin's routes, by name, from one JSON object that it embeds.
class Operations {
 public:
  explicit Operations(std::string_view json) : all_(Json::parse(json)) {}
  std::string operator()(const char* name) const { return all_.at(name).dump(); }

 private:
  Json all_;
};

}  // namespace bulkhead

#include "bulkhead/boundary.hpp"  // IWYU pragma: export

#endif  // BULKHEAD_PLUGIN_HPP
