#include "issuer.hpp"

#include <algorithm>
#include <stdexcept>

namespace auth {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kFirstPause{1'000}, kLongestPause{60'000};

std::string jwks_url_of(const IssuerSettings& settings, const std::atomic<bool>& stop) {
  if (!settings.jwks_url.empty()) return settings.jwks_url;
  std::string base = settings.rules.issuer;
  if (base.ends_with('/')) base.pop_back();
  const std::string where = base + "/.well-known/openid-configuration";
  const nlohmann::json document = fetch_json(where, settings.fetch, stop);
  const auto text = [&](const char* name) {
    const auto member = document.find(name);
    if (member == document.end() || !member->is_string()) throw std::runtime_error(where + ": has no " + name);
    return member->get<std::string>();
  };
  if (text("issuer") != settings.rules.issuer)
    throw std::runtime_error(where + ": says it is '" + text("issuer") +
                             "'; configure the issuer as it is written there");
  std::string url = text("jwks_uri");
  if (const std::string wrong = check_url(url); !wrong.empty())
    throw std::runtime_error(where + ": jwks_uri: " + wrong);
  // A document is no reason to call whatever address it names.
  const std::string origin = origin_of(url);
  const auto allowed = [&](const std::string& other) { return origin_of(other) == origin; };
  if (origin != origin_of(settings.rules.issuer) &&
      std::none_of(settings.jwks_origins.begin(), settings.jwks_origins.end(), allowed))
    throw std::runtime_error(where + ": its keys are at another origin, " + origin + "; allow it by jwks_origins");
  return url;
}

}  // namespace

const Jwk* Issuer::find(const Keys& keys, const Token& token) {
  const Jwk* found = nullptr;
  for (const Jwk& key : keys) {
    if (key.algorithm != token.algorithm || (token.has_kid && key.kid != token.kid)) continue;
    if (found != nullptr) return nullptr;  // two that fit are none: which one is meant is a guess
    found = &key;
  }
  return found;
}

void Issuer::fetch() {
  std::shared_ptr<const Keys> keys;
  std::string error;
  std::vector<std::string> refused;
  try {
    const std::string url = jwks_url_of(settings_, stop_);
    keys = std::make_shared<const Keys>(read_jwks(fetch_json(url, settings_.fetch, stop_), &refused));
    if (keys->empty()) throw std::runtime_error(url + ": has no key that verifies signatures here");
  } catch (const std::exception& wrong) {
    keys.reset();
    error = wrong.what();
  }
  std::vector<std::function<void()>> waiting;
  {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    failures_ = error.empty() ? 0 : failures_ + 1;
    if (keys) keys_ = std::move(keys);
    error_ = error;
    const milliseconds again = std::min(kLongestPause, kFirstPause * (1u << std::min(failures_, 7u)) / 2);
    due_ = now + (failures_ == 0 ? settings_.refresh : again);
    earliest_ = now + (failures_ == 0 ? settings_.pause : std::min(settings_.pause, again));
    waiting.swap(waiting_);
  }
  const std::vector<std::string> news = refused != refused_ ? refused : std::vector<std::string>();
  refused_ = std::move(refused);
  if (!stop_.load()) report_(*this, error, news);
  for (const auto& each : waiting) each();
}

void Issuer::start(Report report) {
  report_ = std::move(report);
  thread_ = std::thread([this] { run(); });
}

void Issuer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::vector<std::function<void()>> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
  }
  for (const auto& each : waiting) each();
}

bool Issuer::when_fetched(std::function<void()> then) {
  {
    const std::lock_guard lock(mutex_);
    if (stop_.load() || waiting_.size() >= kMaxWaiting) return false;
    waiting_.push_back(std::move(then));
    due_ = std::min(due_, earliest_);
  }
  changed_.notify_all();
  return true;
}

void Issuer::run() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      while (!stop_.load() && Clock::now() < due_) changed_.wait_until(lock, due_);
      if (stop_.load()) return;
    }
    fetch();
  }
}

}  // namespace auth
