#include "authenticator.hpp"

#include <algorithm>

#include "bulkhead/text/glob.hpp"
#include "bulkhead/text/scopes.hpp"

namespace auth {

using bulkhead::Problem;
using bulkhead::Request;
using bulkhead::to_view;

namespace {

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

constexpr std::array<std::string_view, 4> kKinds = {"any", "key", "token", "certificate"};

}  // namespace

Authenticator::Authenticator(bulkhead::Host host, const Settings& settings, std::function<void()> changed)
    : host_(host),
      settings_(settings),
      attempts_(settings.failures_per_minute),
      introspection_(host),
      keys_(host, settings_),
      certificates_(settings_),
      tokens_(host, settings_, std::move(changed)) {
  static constexpr std::string_view kLabels[] = {"kind", "result"};
  attempts_metric_ = host_.metric(BH_COUNTER, "auth_attempts_total",
                                  "Requests by the kind of their credentials and what became of them.", kLabels);
}

void Authenticator::start(KeyStore* store) {
  tokens_.start();
  if (store != nullptr) keys_.start(*store);
}

void Authenticator::stop() {
  keys_.stop();
  tokens_.stop();
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
  request.attribute(BH_IDENTITY_SUBJECT, identity.subject);
  request.attribute(BH_IDENTITY_KIND, identity.kind);
  const std::string more = public_scope(request);
  if (more.empty() || bulkhead::has_scope(identity.scopes, more))
    request.attribute(BH_IDENTITY_SCOPES, identity.scopes);
  else
    request.attribute(BH_IDENTITY_SCOPES, identity.scopes.empty() ? more : identity.scopes + " " + more);
  if (!identity.tenant.empty()) request.attribute(BH_IDENTITY_TENANT, identity.tenant);
}

// ------------------------------------------------------------------ the answer

bh_flow Authenticator::refuse(const Request& request, std::string_view kind, const Outcome& outcome) {
  count(kind, outcome.verdict, request.handle());
  if (outcome.verdict == Verdict::kUnavailable) {
    Problem problem(503, outcome.why);
    problem.headers.emplace_back("retry-after", "1");
    throw problem;
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
  // RFC 6750 §3: no error is named to callers who did not use this scheme. The description is one
  // of our own texts, without quotes.
  problem.headers.emplace_back("www-authenticate",
                               outcome.verdict == Verdict::kMalformed && kind == "any"
                                   ? std::string("Bearer")
                                   : R"(Bearer error="invalid_token", error_description=")" + outcome.why + '"');
  problem.headers.emplace_back("cache-control", "no-store");
  throw problem;
}

bh_flow Authenticator::settle(const Request& request, const Verifier& verifier, const Outcome& outcome) {
  if (outcome.verdict != Verdict::kGood) return refuse(request, verifier.kind(), outcome);
  if (outcome.identity->expires_ms != 0 && verifier.now_ms() >= outcome.identity->expires_ms)
    return refuse(request, verifier.kind(), {Verdict::kExpired, nullptr, "The credentials have expired."});
  count(verifier.kind(), Verdict::kGood, request.handle());
  identify(request, *outcome.identity);
  return BH_NEXT;
}

// ------------------------------------------------------------------- credentials

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
      return by(keys_, request, credential.text);
    case Credential::Kind::kToken:
      return by(tokens_, request, credential.text);
    case Credential::Kind::kSeveral: {
      count("any", Verdict::kMalformed, request.handle());
      Problem problem(400, std::string(credential.why));
      problem.headers.emplace_back("www-authenticate", R"(Bearer error="invalid_request")");
      throw problem;
    }
    default:
      return refuse(request, "any", {Verdict::kMalformed, nullptr, std::string(credential.why)});
  }
}

bh_flow Authenticator::by(Verifier& verifier, const Request& request, std::string_view credential) {
  if (const auto outcome = verifier.known(credential)) return settle(request, verifier, *outcome);
  return bulkhead::start(request, by_asking(verifier, request, credential));
}

bulkhead::Task<bh_flow> Authenticator::by_asking(Verifier& verifier, Request request, std::string_view credential) {
  auto asked = verifier.ask(request, credential);
  const Outcome outcome = co_await asked;
  co_return settle(request, verifier, outcome);
}

bh_flow Authenticator::by_certificate_or_nobody(const Request& request) {
  if (!settings_.certificates.empty()) {
    const auto outcome = certificates_.known(request.attribute(BH_TLS_CLIENT_SUBJECT));
    if (outcome->verdict == Verdict::kGood) return settle(request, certificates_, *outcome);
  }
  if (!public_scope(request).empty()) identify(request, {"anonymous", "anonymous", "", "", 0});
  return BH_NEXT;
}

// The scope of a route that is public by configuration, "" where it is not.
std::string Authenticator::public_scope(const Request& request) {
  if (settings_.public_routes.empty() || request.route().empty()) return {};
  if (!introspection_) return {};
  const std::lock_guard lock(public_mutex_);
  if (const uint64_t generation = introspection_.generation(); generation != public_generation_) {
    public_generation_ = generation;
    public_scopes_.clear();
    introspection_.routes([this](const bh_route_info& info) {
      for (const PublicRoute& each : settings_.public_routes)
        if ((each.method.empty() || each.method == to_view(info.method)) &&
            bulkhead::glob_match(each.route, to_view(info.pattern)))
          public_scopes_[std::string(to_view(info.method)).append(" ").append(to_view(info.pattern))] =
              to_view(info.scope);
    });
  }
  for (const std::string_view method : {request.method(), std::string_view(request.method() == "HEAD" ? "GET" : "")}) {
    const auto found = public_scopes_.find(std::string(method).append(" ").append(request.route()));
    if (found != public_scopes_.end()) return found->second;
  }
  return {};
}

}  // namespace auth
