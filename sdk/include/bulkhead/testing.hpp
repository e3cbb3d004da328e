// bulkhead/testing.hpp - a host for tests of one plugin, without a server.
//
//   // The plugin linked into the test, or its file: FakeHost host("./people.so").
//   bulkhead::testing::FakeHost host(bh_plugin_v1());
//   host.create({{"greeting", "hi"}});
//   host.start();
//   auto answer = host.call({.method = "GET", .target = "/hello/you"});
//   EXPECT_EQ(answer.status, 200);
//
// It does what the host does: routes, hooks by phase, attributes, edits, grants, late
// answers, refusals outside of a function's tag. The clock stands still until
// advance() is called; timers run in it. Posted work runs at once. Not for threads:
// call() and advance() from one thread; the plugin may answer from any.
#ifndef BULKHEAD_TESTING_HPP
#define BULKHEAD_TESTING_HPP

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/plugin.h"
#include "bulkhead/plugin.hpp"
#include "bulkhead/testing/exchange.hpp"  // IWYU pragma: export
#include "bulkhead/text/glob.hpp"

namespace bulkhead::testing {

class FakeHost {
 public:
  // The plugin linked into the test.
  explicit FakeHost(const bh_plugin* descriptor) { set(descriptor); }
  // The real file.
  explicit FakeHost(const std::string& file) {
    library_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) throw std::runtime_error(dlerror());
    set(reinterpret_cast<const bh_plugin* (*)()>(dlsym(library_, "bh_plugin_v1"))());
  }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;
  ~FakeHost() { stop(); }

  // ---- life. They throw std::runtime_error with the plugin's own message.
  void create(const Json& config = Json::object()) {
    setup_ = true;
    bh_error err{};
    err.size = sizeof err;
    const std::string text = config.dump();
    const bh_status status = plugin_->create(&host_, to_str(text), &self_, &err);
    setup_ = false;
    if (status != BH_OK) {
      if (self_ != nullptr) plugin_->destroy(std::exchange(self_, nullptr));
      throw std::runtime_error(err.message);
    }
  }
  void start() {
    setup_ = true;
    bh_error err{};
    err.size = sizeof err;
    const bh_status status = plugin_->start != nullptr ? plugin_->start(self_, &err) : BH_OK;
    setup_ = false;
    started_ = status == BH_OK;
    if (!started_) throw std::runtime_error(err.message);
  }
  void stop() {
    if (self_ == nullptr) return;
    if (started_ && plugin_->quiesce != nullptr) plugin_->quiesce(self_);
    timers_.clear();
    for (const auto& ex : exchanges_) ex->attached.clear();
    if (started_ && plugin_->stop != nullptr) plugin_->stop(self_);
    plugin_->destroy(std::exchange(self_, nullptr));
    started_ = false;
  }

  // ---- what the plugin may ask for
  void provide(std::string id, uint32_t version, const void* api, void* self) {
    provided_[std::move(id)] = {version, api, self};
  }
  void provide_extension(std::string id, const void* table) { extensions_[std::move(id)] = table; }
  // Moves the clock and runs the timers that come due.
  void advance(uint64_t milliseconds) {
    const uint64_t until = now_ + milliseconds * 1'000'000;
    while (true) {
      auto due = timers_.end();
      for (auto it = timers_.begin(); it != timers_.end(); ++it)
        if (it->second.at <= until && (due == timers_.end() || it->second.at < due->second.at)) due = it;
      if (due == timers_.end()) break;
      now_ = std::max(now_.load(), due->second.at);
      const Timer timer = due->second;
      if (timer.period == 0)
        timers_.erase(due);
      else
        due->second.at = now_ + timer.period * 1'000'000;
      timer.run(timer.arg);
    }
    now_ = until;
  }

  // ---- requests
  // Sends one and waits for its answer, at most `patience`.
  Answer call(Call made, std::chrono::milliseconds patience = std::chrono::seconds(5)) {
    return finish(begin(std::move(made)), patience);
  }
  // Sends one; what it asks of other threads may still run.
  std::shared_ptr<FakeExchange> begin(Call made) {
    auto ex = std::make_shared<FakeExchange>(std::move(made));
    exchanges_.push_back(ex);
    fill(*ex);
    walk(*ex);
    return ex;
  }
  // The caller hangs up: no answer is taken any more.
  void disconnect(const std::shared_ptr<FakeExchange>& ex) {
    {
      const std::lock_guard lock(ex->mutex);
      if (!ex->answered) {
        ex->gone = true;
        ex->answer.status = 499;
      }
    }
    ex->changed.notify_all();
    end(*ex);
  }
  Answer finish(const std::shared_ptr<FakeExchange>& ex, std::chrono::milliseconds patience = std::chrono::seconds(5)) {
    {
      std::unique_lock lock(ex->mutex);
      ex->changed.wait_for(lock, patience,
                           [&] { return ex->answered || ex->gone || (ex->holds == 0 && !ex->resumed); });
      if (!ex->answered && !ex->gone && ex->holds == 0) {
        ex->answered = true;
        ex->answer = {500, {}, "let go of the exchange without an answer"};
      }
    }
    if (ex->answered && ex->phase < BH_RESPOND) respond(*ex);
    end(*ex);
    return ex->answer;
  }

  // ---- what the plugin did
  std::vector<LogEntry> logs;
  std::vector<Recorded> records;
  std::deque<SpanEntry> spans;
  int32_t health = BH_STARTING;
  std::string health_reason;
  std::map<std::string, const void*> published;
  std::vector<std::string> routes() const {
    std::vector<std::string> list;
    for (const Route& route : routes_) list.push_back(route.method + " " + route.pattern);
    return list;
  }
  const bh_host* raw() const { return &host_; }
  void* self() const { return self_; }
  const bh_plugin& plugin() const { return *plugin_; }

 private:
  struct Route {
    std::string method, pattern, operation, scope;
    bh_step step;
    void* self;
  };
  struct Hook {
    uint32_t phase;
    std::string routes;
    bh_step step;
    void* self;
  };
  struct Timer {
    uint64_t at, period;
    void (*run)(void*);
    void* arg;
  };
  struct Provided {
    uint32_t version;
    const void* api;
    void* self;
  };
  struct Metric {
    std::string name;
    size_t labels;
  };
  struct Series {
    uint32_t metric;
    std::vector<std::string> labels;
  };

  static FakeHost& of(const bh_host* h) { return *static_cast<FakeHost*>(h->ctx); }
  static FakeExchange& of(bh_exchange* ex) { return *reinterpret_cast<FakeExchange*>(ex); }
  static bh_exchange* handle(FakeExchange& ex) { return reinterpret_cast<bh_exchange*>(&ex); }

  void set(const bh_plugin* descriptor) {
    plugin_ = descriptor;
    fill_host();
  }

  bool granted(const std::string& grant) const {
    for (size_t i = 0; i < plugin_->grant_count; ++i)
      if (glob_match(to_view(plugin_->grants[i]), grant)) return true;
    return false;
  }

  void fill(FakeExchange& ex) {
    bh_request& rq = ex.request;
    const std::string& target = ex.call.target;
    const size_t question = target.find('?');
    rq.size = sizeof rq;
    rq.http = 11;
    rq.method = to_str(ex.call.method);
    rq.target = to_str(target);
    rq.path = ex.keep(target.substr(0, question));
    rq.query = ex.keep(question == std::string::npos ? "" : target.substr(question + 1));
    rq.scheme = to_str("http");
    rq.authority = to_str("test");
    rq.peer = rq.socket = to_str("127.0.0.1");
    rq.id = ex.keep("request-" + std::to_string(exchanges_.size()));
    rq.received_ns = now_;
    rq.deadline_ns = now_ + 30'000'000'000;
    for (const auto& [name, value] : ex.call.headers) {
      const bool hidden = ((name == "authorization" || name == "x-api-key") && !granted("header:authorization")) ||
                          (name == "cookie" && !granted("header:cookie"));
      ex.headers.push_back({ex.keep(name), hidden ? to_str("") : ex.keep(value)});
    }
    rq.headers = ex.headers.data();
    rq.header_count = ex.headers.size();
  }

  // Segment by segment; a {parameter} takes one that is not empty.
  static bool match(std::string_view pattern, std::string_view path, FakeExchange& ex) {
    ex.params.clear();
    while (true) {
      const size_t p = pattern.find('/', 1), t = path.find('/', 1);
      const std::string_view want = pattern.substr(0, p), have = path.substr(0, t);
      if (want.size() > 3 && want[1] == '{') {
        if (have.size() < 2) return false;
        ex.params.push_back({ex.keep(want.substr(2, want.size() - 3)), ex.keep(have.substr(1))});
      } else if (want != have) {
        return false;
      }
      if (p == std::string_view::npos || t == std::string_view::npos) return p == t;
      pattern.remove_prefix(p);
      path.remove_prefix(t);
    }
  }

  void walk(FakeExchange& ex) {
    const Route* route = nullptr;
    for (const Hook& hook : hooks_)
      if (hook.phase == BH_RECEIVE && !step(ex, hook.phase, hook.step, hook.self)) return;
    for (const Route& each : routes_)
      if (each.method == ex.call.method && match(each.pattern, to_view(ex.request.path), ex)) {
        route = &each;
        break;
      }
    if (route != nullptr) {
      ex.request.route = to_str(route->pattern);
      ex.request.params = ex.params.data();
      ex.request.param_count = ex.params.size();
    }
    for (const uint32_t phase : {BH_ADMIT, BH_AUTHENTICATE, BH_AUTHORIZE, BH_PREPARE}) {
      if (phase == BH_PREPARE) ex.request.body = to_str(ex.call.body);
      for (const Hook& hook : hooks_) {
        if (hook.phase != phase) continue;
        if (!hook.routes.empty() && (route == nullptr || !glob_match(hook.routes, route->pattern))) continue;
        if (!step(ex, phase, hook.step, hook.self)) return;
      }
    }
    if (route == nullptr)
      settle(ex, 404, "no route");
    else
      step(ex, 600, route->step, route->self);
  }

  // True to go on with the next step.
  bool step(FakeExchange& ex, uint32_t phase, bh_step run, void* self) {
    ex.phase = phase;
    bh_error err{};
    err.size = sizeof err;
    const bh_flow flow = run(self, handle(ex), &ex.request, &err);
    if (flow == BH_NEXT && phase != 600) return true;
    if (flow < 0)
      settle(ex, http_status(flow), err.message);
    else if (flow == BH_NEXT)
      settle(ex, 500, "did not answer");
    else if (flow == BH_DONE && !ex.answered)
      settle(ex, 500, "returned BH_DONE without an answer");
    else if (flow == BH_PENDING && phase != 600) {
      std::unique_lock lock(ex.mutex);
      ex.changed.wait_for(lock, std::chrono::seconds(5), [&] { return ex.answered || ex.resumed || ex.holds == 0; });
      return std::exchange(ex.resumed, false) && !ex.answered;
    }
    return false;
  }

  static void settle(FakeExchange& ex, int status, std::string_view detail) {
    const std::lock_guard lock(ex.mutex);
    if (ex.answered || ex.gone) return;
    ex.answered = true;
    ex.answer = {status, {}, std::string(detail)};
    ex.changed.notify_all();
  }

  void respond(FakeExchange& ex) {
    ex.phase = BH_RESPOND;
    for (auto hook = hooks_.rbegin(); hook != hooks_.rend(); ++hook) {
      if (hook->phase != BH_RESPOND) continue;
      bh_error err{};
      err.size = sizeof err;
      hook->step(hook->self, handle(ex), &ex.request, &err);
    }
  }

  void end(FakeExchange& ex) {
    if (ex.phase == BH_COMPLETE) return;
    ex.phase = BH_COMPLETE;
    for (const auto& [run, arg] : std::exchange(ex.on_end, {})) run(arg);
    for (const Hook& hook : hooks_) {
      bh_error err{};
      err.size = sizeof err;
      if (hook.phase == BH_COMPLETE) hook.step(hook.self, handle(ex), &ex.request, &err);
    }
  }

  static void change(FakeExchange& ex, const bh_reply& reply, bool edit) {
    for (size_t i = 0; i < reply.header_count; ++i) {
      const std::string name(to_view(reply.headers[i].name));
      auto& list = ex.answer.headers;
      if (edit && (reply.flags & BH_APPEND) == 0)
        std::erase_if(list, [&](const auto& pair) { return pair.first == name; });
      if (reply.headers[i].value.ptr != nullptr) list.emplace_back(name, to_view(reply.headers[i].value));
    }
    if (reply.status != 0) ex.answer.status = reply.status;
    if (!edit || reply.body.ptr != nullptr) ex.answer.body = to_view(reply.body);
  }

  void fill_host();

  const bh_plugin* plugin_ = nullptr;
  void* library_ = nullptr;  // stays mapped, as in the host
  bh_host host_{};
  void* self_ = nullptr;
  bool setup_ = false, started_ = false;
  std::mutex mutex_;
  std::atomic<uint64_t> now_{1'000'000'000};
  uint64_t last_id_ = 0;
  std::map<uint64_t, Timer> timers_;
  std::map<std::string, Provided> provided_;
  std::map<std::string, const void*> extensions_;
  std::vector<Route> routes_;
  std::vector<Hook> hooks_;
  std::vector<Metric> metrics_;
  std::vector<Series> series_;
  std::vector<std::shared_ptr<FakeExchange>> exchanges_;
};

}  // namespace bulkhead::testing

#include "bulkhead/testing/calls.hpp"  // IWYU pragma: export

#endif  // BULKHEAD_TESTING_HPP
