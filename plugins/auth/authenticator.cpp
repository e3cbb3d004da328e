#include "authenticator.hpp"

#include <algorithm>
#include <chrono>

#include "bulkhead/extensions/introspect.h"
#include "bulkhead/glob.hpp"

namespace auth {

using bulkhead::Exchange;
using bulkhead::Problem;
using bulkhead::Request;
using bulkhead::Response;
using bulkhead::to_view;

namespace {

constexpr uint64_t kUsedMs = 10'000;

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return "ok";
    case Verdict::kMalformed:
      return "malformed";
    case Verdict::kUnknown:
      return "unknown";
    case Verdict::kExpired:
      return "expired";
    case Verdict::kRevoked:
      return "revoked";
    case Verdict::kInvalid:
      return "invalid";
    case Verdict::kUnavailable:
      return "unavailable";
    case Verdict::kLimited:
      return "limited";
  }
  return "";
}

// A * stands for text within one part of the name: what is escaped, or begins the next part, is none of it.
bool subject_matches(std::string_view pattern, std::string_view subject) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == subject;
  if (!subject.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (size_t i = star; i <= subject.size(); ++i) {
    if (subject_matches(rest, subject.substr(i))) return true;
    if (i == subject.size() || subject[i] == ',' || subject[i] == '+' || subject[i] == '\\') return false;
  }
  return false;
}

constexpr std::array<std::string_view, 4> kKinds = {"any", "key", "token", "certificate"};

void poll_again(void* self, void (*run)(void*), const bulkhead::Host& host, uint64_t every_ms, uint64_t* timer) {
  *timer = host.raw()->timer(host.raw(), every_ms, every_ms, run, self);
}

}  // namespace

Authenticator::Authenticator(bulkhead::Host host, const Settings& settings, std::function<void()> changed)
    : host_(host),
      settings_(settings),
      attempts_(settings.failures_per_minute),
      ring_(settings.cached_keys, settings.stale),
      tokens_(settings.cached_tokens),
      changed_(std::move(changed)) {
  for (const IssuerSettings& issuer : settings.issuers) issuers_.push_back(std::make_unique<Issuer>(issuer));
  static constexpr std::string_view kLabels[] = {"kind", "result"};
  attempts_metric_ = host_.metric(BH_COUNTER, "auth_attempts_total",
                                  "Requests by the kind of their credentials and what became of them.", kLabels);
}

void Authenticator::start(KeyStore* store) {
  store_ = store;
  for (const auto& issuer : issuers_)
    issuer->start([this](const Issuer& which, const std::string& error, const std::vector<std::string>& refused) {
      fetched(which, error);
      for (const std::string& key : refused)
        host_.warn("a key of the issuer is too weak", {{"issuer", which.settings().rules.issuer}, {"reason", key}});
    });
  if (store == nullptr) return;
  poll_again(
      this, [](void* self) { static_cast<Authenticator*>(self)->poll(); }, host_, settings_.poll_ms, &poll_timer_);
  poll_again(
      this, [](void* self) { static_cast<Authenticator*>(self)->note_used(); }, host_, kUsedMs, &used_timer_);
}

void Authenticator::stop() {
  for (const uint64_t timer : {poll_timer_, used_timer_})
    if (timer != 0) host_.raw()->timer_cancel(host_.raw(), timer);
  poll_timer_ = used_timer_ = 0;
  note_used();
  for (const auto& issuer : issuers_) issuer->stop();
}

std::string Authenticator::trouble() const {
  for (const auto& issuer : issuers_)
    if (!issuer->keys())
      return "no token of " + issuer->settings().rules.issuer +
             " can be checked: " + (issuer->error().empty() ? "its keys are on their way" : issuer->error());
  return {};
}

void Authenticator::count(std::string_view kind, Verdict verdict, bh_exchange* ex) {
  const auto row = static_cast<size_t>(std::find(kKinds.begin(), kKinds.end(), kind) - kKinds.begin());
  std::atomic<uint32_t>& series = series_[row * kVerdicts + static_cast<size_t>(verdict)];
  uint32_t known = series.load(std::memory_order_relaxed);
  if (known == 0) {
    const std::string_view labels[] = {kind, verdict_name(verdict)};
    known = host_.series(attempts_metric_, labels);
    series.store(known, std::memory_order_relaxed);
  }
  host_.record(known, 1, ex);
}

void Authenticator::identify(const Request& request, const Identity& identity) {
  request.attribute("identity.subject", identity.subject);
  request.attribute("identity.kind", identity.kind);
  const std::string more = public_scope(request);
  if (more.empty() || has_scope(identity.scopes, more))
    request.attribute("identity.scopes", identity.scopes);
  else
    request.attribute("identity.scopes", identity.scopes.empty() ? more : identity.scopes + " " + more);
  if (!identity.tenant.empty()) request.attribute("identity.tenant", identity.tenant);
}

// ------------------------------------------------------------------ the answer

Response Authenticator::refusal(const Request& request, const Outcome& outcome, std::string_view kind) {
  count(kind, outcome.verdict, request.handle());
  if (outcome.verdict == Verdict::kUnavailable) {
    Problem problem(503, outcome.why);
    problem.headers.emplace_back("retry-after", "1");
    return bulkhead::problem(problem, request.id());
  }
  const bool last = attempts_.failed(request.peer(), host_.now_ns());
  host_.log(BH_WARN, last ? "authentication failed; this address is turned away for a while" : "authentication failed",
            {{"peer", request.peer()},
             {"kind", kind},
             {"result", verdict_name(outcome.verdict)},
             {"reason", outcome.why},
             {"request_id", request.id()}},
            request.handle());
  Problem problem(401, outcome.why);
  // RFC 6750 §3: no error is named to who did not use this scheme. The description is one of our own texts, without
  // quotes.
  problem.headers.emplace_back("www-authenticate",
                               outcome.verdict == Verdict::kMalformed && kind == "any"
                                   ? std::string("Bearer")
                                   : R"(Bearer error="invalid_token", error_description=")" + outcome.why + '"');
  problem.headers.emplace_back("cache-control", "no-store");
  return bulkhead::problem(problem, request.id());
}

bh_flow Authenticator::settle(const Request& request, const Outcome& outcome, std::string_view kind) {
  // Keys end by the database's clock, which all hosts share.
  const int64_t now = wall_ms() + (kind == "key" ? ahead_ms_.load(std::memory_order_relaxed) : 0);
  if (outcome.verdict == Verdict::kGood && (outcome.identity->expires_ms == 0 || now < outcome.identity->expires_ms)) {
    count(kind, Verdict::kGood, request.handle());
    identify(request, *outcome.identity);
    return BH_NEXT;
  }
  const Outcome wrong = outcome.verdict == Verdict::kGood
                            ? Outcome{Verdict::kExpired, nullptr, "The credentials have expired."}
                            : outcome;
  return refusal(request, wrong, kind).send(host_.raw(), request.handle()) == BH_E_INVALID ? bh_flow{BH_E_INTERNAL}
                                                                                           : bh_flow{BH_DONE};
}

void Authenticator::settle_later(const Request& request, const Exchange& held, const Outcome& outcome,
                                 std::string_view kind) {
  if (settle(request, outcome, kind) == BH_NEXT) held.resume();
}

// --------------------------------------------------------------- who shows what

bh_flow Authenticator::authenticate(const Request& request) {
  const Credential credential = credential_of(request);
  if (credential.kind == Credential::Kind::kNone) return by_certificate_or_nobody(request);
  if (const uint32_t wait = attempts_.blocked_for_s(request.peer(), host_.now_ns()); wait != 0) {
    count("any", Verdict::kLimited, request.handle());
    Problem problem(429, "Too many attempts with wrong credentials from this address.");
    problem.headers.emplace_back("retry-after", std::to_string(wait));
    throw problem;
  }
  switch (credential.kind) {
    case Credential::Kind::kKey:
      return by_key(request, credential.text);
    case Credential::Kind::kToken:
      return by_token(request, credential.text);
    case Credential::Kind::kSeveral: {
      count("any", Verdict::kMalformed, request.handle());
      Problem problem(400, std::string(credential.why));
      problem.headers.emplace_back("www-authenticate", R"(Bearer error="invalid_request")");
      throw problem;
    }
    default:
      return settle(request, {Verdict::kMalformed, nullptr, std::string(credential.why)}, "any");
  }
}

bh_flow Authenticator::by_certificate_or_nobody(const Request& request) {
  if (!settings_.certificates.empty()) {
    const std::string_view subject = request.attribute("tls.client.subject");
    for (const CertificateRule& rule : settings_.certificates) {
      if (subject.empty() || !subject_matches(rule.subject, subject)) continue;
      count("certificate", Verdict::kGood, request.handle());
      identify(request, {"cert:" + std::string(subject), "certificate", rule.scopes, rule.tenant, 0});
      return BH_NEXT;
    }
  }
  if (!public_scope(request).empty()) identify(request, {"anonymous", "anonymous", "", "", 0});
  return BH_NEXT;
}

// The scope of a route that is public by configuration, "" where it is not.
std::string Authenticator::public_scope(const Request& request) {
  if (settings_.public_routes.empty() || request.route().empty()) return {};
  const auto* introspect = host_.extension<bh_introspect>(BH_INTROSPECT_ID);
  if (introspect == nullptr) return {};
  const std::lock_guard lock(public_mutex_);
  if (const uint64_t generation = introspect->generation(host_.raw()); generation != public_generation_) {
    public_generation_ = generation;
    public_scopes_.clear();
    introspect->routes(
        host_.raw(),
        [](void* self, const bh_route_info* info) {
          auto& me = *static_cast<Authenticator*>(self);
          for (const PublicRoute& each : me.settings_.public_routes)
            if ((each.method.empty() || each.method == to_view(info->method)) &&
                bulkhead::glob_match(each.route, to_view(info->pattern)))
              me.public_scopes_[std::string(to_view(info->method)).append(" ").append(to_view(info->pattern))] =
                  to_view(info->scope);
        },
        this);
  }
  for (const std::string_view method : {request.method(), std::string_view(request.method() == "HEAD" ? "GET" : "")}) {
    const auto found = public_scopes_.find(std::string(method).append(" ").append(request.route()));
    if (found != public_scopes_.end()) return found->second;
  }
  return {};
}

}  // namespace auth
