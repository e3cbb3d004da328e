// The ratelimit plugin: limits how often callers may send requests.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bulkhead/net/address.hpp"
#include "bulkhead/net/redis_url.hpp"
#include "bulkhead/plugin.hpp"
#include "limits.hpp"
#include "ratelimit_embedded.hpp"
#include "shared.hpp"
#include "table.hpp"

namespace ratelimit {

using bulkhead::Exchange;
using bulkhead::Json;
using bulkhead::Problem;
using bulkhead::Request;

namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

// Whole seconds, rounded up: a caller that waits that long is let through.
std::string seconds(int64_t time, int64_t units_per_second) {
  return std::to_string((time + units_per_second - 1) / units_per_second);
}

// What is counted together, apart from all other limits.
std::string key_of(const Limit& limit, const Request& request) {
  std::string key = limit.name;
  if (limit.per_route) key.append(1, '\x1f').append(request.route());
  if (limit.by == By::kRoute) return key;
  const std::string_view subject =
      limit.by == By::kIdentity ? request.attribute(BH_IDENTITY_SUBJECT) : std::string_view();
  // All anonymous callers have one subject: their addresses tell them apart.
  return key.append(1, '\x1f').append(subject.empty() || subject == "anonymous" ? bulkhead::caller_of(request.peer())
                                                                                : std::string(subject));
}

}  // namespace

class RateLimit : public bulkhead::Plugin {
 public:
  RateLimit(bulkhead::Host h, const ratelimit_config::Config& config) : Plugin(h), table_(config.entries) {
    // Limits by identity run after authentication; all others before it, which saves its cost.
    for (Limit& limit : read_limits(config)) (limit.by == By::kIdentity ? late_ : early_).push_back(std::move(limit));
    if (const std::string& url = config.redis; !url.empty()) {
      SharedSettings settings{.prefix = config.service + ":ratelimit:"};
      if (const std::string wrong = bulkhead::parse_redis_url(url, &settings.url); !wrong.empty())
        throw bulkhead::Failure(BH_E_CONFIG, "/redis: " + wrong);
      settings.timeout_ms = config.redis_timeout_ms;
      shared_ = std::make_unique<Shared>(h, settings);
    }
    if (!early_.empty()) hook(BH_ADMIT, [this](const Request& request) { return check(request, early_); });
    if (!late_.empty()) hook(BH_PREPARE, [this](const Request& request) { return check(request, late_); });
    if (shared_) hook(BH_RESPOND, [this](const Request& request) { return respond(request); });
    static constexpr std::string_view kLabels[] = {"limit", "result"};
    const uint32_t metric =
        h.metric(BH_COUNTER, "ratelimit_requests_total", "Requests by the limit that decided and its result.", kLabels);
    for (std::vector<Limit>* limits : {&early_, &late_})
      for (const Limit& limit : *limits) {
        const std::string_view refused[] = {limit.name, "refused"};
        refused_.push_back({&limit, h.series(metric, refused)});
      }
    static constexpr std::string_view kWhere[] = {"where"};
    const uint32_t decided =
        h.metric(BH_COUNTER, "ratelimit_decisions_total", "Decisions by where the count is kept.", kWhere);
    const std::string_view local[] = {"local"}, redis[] = {"redis"};
    local_ = h.series(decided, local);
    redis_ = h.series(decided, redis);
    displaced_ = h.series(h.metric(BH_GAUGE, "ratelimit_displaced_callers",
                                   "Callers evicted before their limit was full, since the start: raise `entries`."));
  }

  void start() override {
    if (shared_) shared_->start();
    figures_ = host().every(1000, [this] { host().record(displaced_, static_cast<double>(table_.displaced())); });
  }
  void quiesce() override {
    if (shared_) shared_->stop();
  }

 private:
  struct Judged {
    const Limit* limit;
    Decision decision;
  };

  bh_flow check(const Request& request, const std::vector<Limit>& limits) {
    std::vector<Judged> judged;
    for (const Limit& limit : limits)
      if (limit.covers(request.method(), request.route())) judged.push_back({&limit, {}});
    if (judged.empty()) return BH_NEXT;
    if (!shared_) return settle(request, by_ourselves(request, std::move(judged)), kNsPerSecond);
    std::vector<Shared::Item> items;
    items.reserve(judged.size());
    for (const Judged& each : judged)
      items.push_back({key_of(*each.limit, request), each.limit->interval_us(), each.limit->burst});
    const Exchange held(request);
    shared_->take(items, [this, request, held, judged](const std::vector<Decision>& decisions) {
      std::vector<Judged> outcome = judged;
      const bool known = decisions.size() == outcome.size();
      if (known)
        for (size_t i = 0; i < outcome.size(); ++i) outcome[i].decision = decisions[i];
      else
        outcome = by_ourselves(request, std::move(outcome));
      host().record(known ? redis_ : local_, 1);
      try {
        if (settle(request, outcome, known ? Shared::kUnitsPerSecond : kNsPerSecond) == BH_NEXT) held.resume();
      } catch (const Problem& problem) {
        held.reply(bulkhead::problem(problem, request.id()));
      }
    });
    return BH_PENDING;
  }

  // Nothing is taken from one limit where another refuses.
  std::vector<Judged> by_ourselves(const Request& request, std::vector<Judged> judged) {
    const auto now = static_cast<int64_t>(host().now_ns());
    std::vector<std::string> keys;
    keys.reserve(judged.size());
    for (const Judged& each : judged) keys.push_back(key_of(*each.limit, request));
    const bool several = judged.size() > 1;
    bool all = true;
    for (size_t i = 0; i < judged.size(); ++i) {
      judged[i].decision = table_.decide(keys[i], judged[i].limit->rate(), now, !several);
      all = all && judged[i].decision.allowed;
    }
    if (several && all)
      for (size_t i = 0; i < judged.size(); ++i)
        judged[i].decision = table_.decide(keys[i], judged[i].limit->rate(), now, true);
    return judged;
  }

  // RateLimit and RateLimit-Policy as draft-ietf-httpapi-ratelimit-headers has them; 429 of RFC
  // 6585 §4.
  bh_flow settle(const Request& request, const std::vector<Judged>& judged, int64_t units) {
    std::string policies, states;
    const Judged* refusing = nullptr;
    // Where one refuses, the others gave nothing.
    const bool untaken =
        std::any_of(judged.begin(), judged.end(), [](const Judged& each) { return !each.decision.allowed; });
    for (const Judged& each : judged) {
      policies.append(policies.empty() ? "" : ", ").append(each.limit->policy);
      states.append(states.empty() ? "" : ", ")
          .append("\"")
          .append(each.limit->name)
          .append("\";r=")
          .append(std::to_string(each.decision.remaining + (untaken && each.decision.allowed ? 1 : 0)));
      states.append(";t=").append(seconds(each.decision.allowed ? each.decision.full : each.decision.wait, units));
      if (!each.decision.allowed && (refusing == nullptr || each.decision.wait > refusing->decision.wait))
        refusing = &each;
    }
    const bh_pair fields[] = {{bulkhead::to_str("ratelimit-policy"), bulkhead::to_str(policies)},
                              {bulkhead::to_str("ratelimit"), bulkhead::to_str(states)}};
    if (refusing == nullptr) {
      if (!add(request, fields)) note(request, policies, states);
      return BH_NEXT;
    }
    for (const auto& [limit, series] : refused_)
      if (limit == refusing->limit) host().record(series, 1, request.handle());
    const std::string wait = seconds(std::max<int64_t>(1, refusing->decision.wait), units);
    Problem problem(429, "The limit '" + refusing->limit->name + "' of " + std::to_string(refusing->limit->requests) +
                             " requests in " + std::to_string(refusing->limit->window_s) +
                             " s is used up. Try again in " + wait + " s.");
    problem.headers = {{"retry-after", wait}, {"ratelimit-policy", policies}, {"ratelimit", states}};
    throw problem;
  }

  // Limits of both phases stand side by side.
  bool add(const Request& request, std::span<const bh_pair> fields) const {
    return request.edit({.fields = fields, .append = true});
  }

  static void note(const Request& request, std::string policies, std::string states) {
    for (auto [key, text] : {std::pair{"ratelimit.policies", &policies}, {"ratelimit.states", &states}}) {
      if (const std::string_view before = request.attribute(key); !before.empty())
        *text = std::string(before).append(", ").append(*text);
      request.attribute(key, *text);
    }
  }

  // What Redis said came outside of a step, where answers cannot be changed yet.
  bh_flow respond(const Request& request) {
    const std::string_view policies = request.attribute("ratelimit.policies"),
                           states = request.attribute("ratelimit.states");
    const bh_pair fields[] = {{bulkhead::to_str("ratelimit-policy"), bulkhead::to_str(policies)},
                              {bulkhead::to_str("ratelimit"), bulkhead::to_str(states)}};
    if (!states.empty()) add(request, fields);
    return BH_NEXT;
  }

  std::vector<Limit> early_, late_;
  Table table_;
  std::unique_ptr<Shared> shared_;
  std::vector<std::pair<const Limit*, uint32_t>> refused_;
  uint32_t local_ = 0, redis_ = 0, displaced_ = 0;
  bulkhead::Timer figures_;
};

}  // namespace ratelimit

BULKHEAD_PLUGIN(ratelimit::RateLimit, "ratelimit", "1.0.0", "Limits how often callers may send requests.",
                .schema = ratelimit_embedded::schema_json)
