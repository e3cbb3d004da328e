// bulkhead/testing/calls.hpp - the fake host's side of bh_host: what the plugin calls. Included by
// bulkhead/testing.hpp.
#ifndef BULKHEAD_TESTING_CALLS_HPP
#define BULKHEAD_TESTING_CALLS_HPP

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>

#include "bulkhead/testing.hpp"

namespace bulkhead::testing {

inline void FakeHost::fill_host() {
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
  host_.ex_attach = [](const bh_host*, bh_exchange* ex, bh_str key, void* data, void (*release)(void*)) -> bh_status {
    FakeExchange::Attached kept(data, release);  // released where the key is taken
    return of(ex).attached.try_emplace(std::string(to_view(key)), std::move(kept)).second ? BH_OK : BH_E_CONFLICT;
  };
  host_.ex_attached = [](const bh_host*, bh_exchange* ex, bh_str key) -> void* {
    const auto it = of(ex).attached.find(std::string(to_view(key)));
    return it == of(ex).attached.end() ? nullptr : it->second.get();
  };
  host_.ex_call = [](const bh_host*, bh_exchange*, void (*run)(void*), void* arg) -> bh_status {
    run(arg);
    return BH_OK;
  };
  host_.extension = [](const bh_host* h, bh_str id) -> const void* {
    const auto it = of(h).extensions_.find(std::string(to_view(id)));
    return it == of(h).extensions_.end() ? nullptr : it->second;
  };
}

}  // namespace bulkhead::testing

#endif  // BULKHEAD_TESTING_CALLS_HPP
