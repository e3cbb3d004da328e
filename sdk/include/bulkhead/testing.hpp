// bulkhead/testing.hpp - a host for tests of one plugin, without a server.
//
//   bulkhead::testing::FakeHost host(bh_plugin_v1());  // the plugin linked into the test, or FakeHost("./people.so")
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
#include <condition_variable>
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

#include "bulkhead/glob.hpp"
#include "bulkhead/plugin.h"
#include "bulkhead/plugin.hpp"

namespace bulkhead::testing {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Call {
  std::string method = "GET", target = "/";
  Headers headers = {};
  std::string body = {};
};

struct Answer {
  int status = 0;  // 0: none came in time; 499: the caller left
  Headers headers;
  std::string body;

  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (key == name) return value;
    return {};
  }
  Json json() const { return Json::parse(body); }
};

struct LogEntry {
  int32_t level;
  std::string message;
  std::map<std::string, std::string> fields;
};

struct Recorded {
  std::string metric;
  std::vector<std::string> labels;
  double value;
};

struct SpanEntry {
  std::string name;
  std::map<std::string, std::string> tags;
  bool ended = false;
  bh_status outcome = BH_OK;
};

class FakeHost;

// One request in the fake host. What the plugin sees of it lives as long as this and the plugin's holds.
class FakeExchange {
 public:
  explicit FakeExchange(Call made) : call(std::move(made)) {}

  Call call;
  bh_request request{};
  std::deque<std::string> text;  // owns what the views show
  std::vector<bh_pair> headers, params;
  std::map<std::string, std::string> attributes;
  std::vector<bh_reply> edits;
  std::vector<std::pair<void (*)(void*), void*>> on_end;
  std::mutex mutex;
  std::condition_variable changed;
  Answer answer;
  std::vector<bh_pair> answer_pairs;
  bool answered = false, gone = false, resumed = false;
  int holds = 0;
  uint32_t phase = 0;

  bh_str keep(std::string_view s) {
    text.emplace_back(s);
    return to_str(text.back());
  }
};

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
  // The caller hangs up: nobody can answer any more.
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

  void fill_host() {
    host_.size = sizeof host_;
    host_.abi_major = BH_ABI_MAJOR;
    host_.abi_minor = BH_ABI_MINOR;
    host_.ctx = this;
    host_.version = to_str("test");
    host_.instance = plugin_ != nullptr ? plugin_->id : to_str("");
    host_.log = [](const bh_host* h, bh_exchange*, int32_t level, bh_str message, const bh_pair* fields, size_t n) {
      LogEntry entry{level, std::string(to_view(message)), {}};
      for (size_t i = 0; i < n; ++i) entry.fields[std::string(to_view(fields[i].name))] = to_view(fields[i].value);
      const std::lock_guard lock(of(h).mutex_);
      of(h).logs.push_back(std::move(entry));
    };
    host_.log_enabled = [](const bh_host*, int32_t) -> int32_t { return 1; };
    host_.now_ns = [](const bh_host* h) -> uint64_t { return of(h).now_; };
    host_.health = [](const bh_host* h, int32_t state, bh_str why) {
      const std::lock_guard lock(of(h).mutex_);
      of(h).health = state;
      of(h).health_reason = to_view(why);
    };
    host_.route = [](const bh_host* h, const bh_route* r, bh_error* err) -> bh_status {
      FakeHost& self = of(h);
      if (!self.setup_) return set_error(err, BH_E_STATE, "routes are registered in create and start only");
      const std::string pattern(to_view(r->pattern)), own = "/" + std::string(to_view(self.plugin_->id));
      if (pattern != own && !pattern.starts_with(own + "/") && !self.granted("route:" + pattern))
        return set_error(err, BH_E_DENIED, "the grant 'route:" + pattern + "' is not declared by the plugin");
      self.routes_.push_back({std::string(to_view(r->method)), pattern, std::string(to_view(r->operation)),
                              std::string(to_view(r->scope)), r->step, r->self});
      return BH_OK;
    };
    host_.hook = [](const bh_host* h, const bh_hook* k, bh_error* err) -> bh_status {
      if (!of(h).setup_) return set_error(err, BH_E_STATE, "hooks are registered in create and start only");
      of(h).hooks_.push_back({k->phase, std::string(to_view(k->routes)), k->step, k->self});
      return BH_OK;
    };
    host_.post = [](const bh_host*, void (*run)(void*), void* arg) -> bh_status {
      run(arg);
      return BH_OK;
    };
    host_.timer = [](const bh_host* h, uint64_t delay, uint64_t period, void (*run)(void*), void* arg) -> uint64_t {
      FakeHost& self = of(h);
      self.timers_[++self.last_id_] = {self.now_ + delay * 1'000'000, period, run, arg};
      return self.last_id_;
    };
    host_.timer_cancel = [](const bh_host* h, uint64_t id) { of(h).timers_.erase(id); };
    host_.publish = [](const bh_host* h, bh_str id, uint32_t, const void* api, void*) -> bh_status {
      FakeHost& self = of(h);
      if (!self.setup_) return BH_E_STATE;
      const bh_plugin& p = *self.plugin_;
      if (std::none_of(p.offers, p.offers + p.offer_count,
                       [&](const bh_need& offer) { return to_view(offer.service) == to_view(id); }))
        return BH_E_DENIED;
      self.published[std::string(to_view(id))] = api;
      return BH_OK;
    };
    host_.acquire = [](const bh_host* h, bh_str id, uint32_t version, bh_service* out, bh_error* err) -> bh_status {
      FakeHost& self = of(h);
      const std::string name(to_view(id));
      if (!self.granted("service:" + name))
        return set_error(err, BH_E_DENIED, "the grant 'service:" + name + "' is not declared by the plugin");
      const auto it = self.provided_.find(name);
      if (it == self.provided_.end() || it->second.version < version)
        return set_error(err, BH_E_UNAVAILABLE, "no plugin publishes " + name);
      out->version = it->second.version;
      out->api = it->second.api;
      out->self = it->second.self;
      return BH_OK;
    };
    host_.release = [](const bh_host*, bh_service*) {};
    host_.metric = [](const bh_host* h, const bh_metric* m, uint32_t* id) -> bh_status {
      if (!of(h).setup_) return BH_E_STATE;
      of(h).metrics_.push_back({std::string(to_view(m->name)), m->label_count});
      *id = static_cast<uint32_t>(of(h).metrics_.size());
      return BH_OK;
    };
    host_.series = [](const bh_host* h, uint32_t metric, const bh_str* labels, size_t n, uint32_t* id) -> bh_status {
      FakeHost& self = of(h);
      if (metric == 0 || metric > self.metrics_.size() || self.metrics_[metric - 1].labels != n) return BH_E_INVALID;
      Series series{metric, {}};
      for (size_t i = 0; i < n; ++i) series.labels.emplace_back(to_view(labels[i]));
      self.series_.push_back(std::move(series));
      *id = static_cast<uint32_t>(self.series_.size());
      return BH_OK;
    };
    host_.record = [](const bh_host* h, uint32_t series, double value, bh_exchange*) {
      FakeHost& self = of(h);
      const std::lock_guard lock(self.mutex_);
      if (series == 0 || series > self.series_.size()) return;
      const Series& s = self.series_[series - 1];
      self.records.push_back({self.metrics_[s.metric - 1].name, s.labels, value});
    };
    host_.span = [](const bh_host* h, bh_exchange*, bh_span*, int32_t, bh_str name) -> bh_span* {
      const std::lock_guard lock(of(h).mutex_);
      return reinterpret_cast<bh_span*>(
          &of(h).spans.emplace_back(SpanEntry{std::string(to_view(name)), {}, false, BH_OK}));
    };
    host_.span_tag = [](bh_span* span, bh_str key, const bh_value* value) {
      reinterpret_cast<SpanEntry*>(span)->tags[std::string(to_view(key))] =
          value->kind == BH_TEXT ? std::string(to_view(value->as.s)) : std::to_string(value->as.i);
    };
    host_.span_context = [](bh_span*, char traceparent[56]) {
      std::memcpy(traceparent, "00-11111111111111111111111111111111-2222222222222222-01", 56);
    };
    host_.span_end = [](bh_span* span, bh_status outcome) {
      reinterpret_cast<SpanEntry*>(span)->ended = true;
      reinterpret_cast<SpanEntry*>(span)->outcome = outcome;
    };
    host_.ex_retain = [](const bh_host*, bh_exchange* ex) -> bh_exchange* {
      const std::lock_guard lock(of(ex).mutex);
      ++of(ex).holds;
      return ex;
    };
    host_.ex_release = [](const bh_host*, bh_exchange* ex) {
      const std::lock_guard lock(of(ex).mutex);
      --of(ex).holds;
      of(ex).changed.notify_all();
    };
    host_.ex_live = [](const bh_host*, bh_exchange* ex) -> int32_t {
      const std::lock_guard lock(of(ex).mutex);
      return of(ex).gone ? 0 : 1;
    };
    host_.ex_reply = [](const bh_host*, bh_exchange* ex, const bh_reply* reply) -> bh_status {
      FakeExchange& self = of(ex);
      bh_status status = BH_OK;
      {
        const std::lock_guard lock(self.mutex);
        if (reply->status < 200 || reply->status > 599) {
          status = BH_E_INVALID;
        } else if (self.answered || self.gone) {
          status = BH_E_GONE;
        } else {
          change(self, *reply, false);
          self.answered = true;
          self.changed.notify_all();
        }
      }
      if (reply->release != nullptr) reply->release(reply->arg);
      return status;
    };
    host_.ex_fail = [](const bh_host*, bh_exchange* ex, bh_status code, bh_str detail) -> bh_status {
      {
        const std::lock_guard lock(of(ex).mutex);
        if (of(ex).answered || of(ex).gone) return BH_E_GONE;
      }
      settle(of(ex), http_status(code), to_view(detail));
      return BH_OK;
    };
    host_.ex_resume = [](const bh_host*, bh_exchange* ex) -> bh_status {
      const std::lock_guard lock(of(ex).mutex);
      if (of(ex).gone) return BH_E_GONE;
      of(ex).resumed = true;
      of(ex).changed.notify_all();
      return BH_OK;
    };
    host_.ex_on_end = [](const bh_host*, bh_exchange* ex, void (*run)(void*), void* arg) -> bh_status {
      of(ex).on_end.emplace_back(run, arg);
      return BH_OK;
    };
    host_.ex_outcome = [](const bh_host*, bh_exchange* ex, bh_outcome* out) -> bh_status {
      FakeExchange& self = of(ex);
      if (self.phase < BH_RESPOND || self.phase == 600) return BH_E_STATE;
      self.answer_pairs.clear();
      for (const auto& [name, value] : self.answer.headers) self.answer_pairs.push_back({to_str(name), to_str(value)});
      out->status = self.gone ? 499 : self.answer.status;
      out->headers = self.answer_pairs.data();
      out->header_count = self.answer_pairs.size();
      out->body = to_str(self.answer.body);
      return BH_OK;
    };
    host_.ex_edit = [](const bh_host*, bh_exchange* ex, const bh_reply* reply) -> bh_status {
      if (of(ex).phase == BH_COMPLETE) return BH_E_STATE;
      change(of(ex), *reply, true);
      return BH_OK;
    };
    host_.ex_get = [](const bh_host*, bh_exchange* ex, bh_str key, bh_str* value) -> bh_status {
      const auto it = of(ex).attributes.find(std::string(to_view(key)));
      if (it == of(ex).attributes.end()) return BH_E_NOT_FOUND;
      *value = to_str(it->second);
      return BH_OK;
    };
    host_.ex_put = [](const bh_host* h, bh_exchange* ex, bh_str key, bh_str value) -> bh_status {
      const std::string name(to_view(key));
      if (name.starts_with("identity.") && !of(h).granted("phase:authenticate")) return BH_E_DENIED;
      of(ex).attributes[name] = to_view(value);
      return BH_OK;
    };
    host_.extension = [](const bh_host* h, bh_str id) -> const void* {
      const auto it = of(h).extensions_.find(std::string(to_view(id)));
      return it == of(h).extensions_.end() ? nullptr : it->second;
    };
  }

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

#endif  // BULKHEAD_TESTING_HPP
