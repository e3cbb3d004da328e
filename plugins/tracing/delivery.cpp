#include "delivery.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "bulkhead/compress/gzip.hpp"
#include "random.hpp"

namespace tracing {

using std::chrono::milliseconds;

namespace {

constexpr size_t kMaxAnswer = 4 * 1024 * 1024;
constexpr milliseconds kFirstPause{1'000}, kLongestPause{10'000}, kLongestRetryAfter{60'000};

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

struct Delivery::Curl {
  CURL* handle = nullptr;
  curl_slist* headers = nullptr;
  ~Curl() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(handle);
  }
  void add(const std::string& line) {
    curl_slist* longer = curl_slist_append(headers, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    headers = longer;
  }
};

std::optional<milliseconds> parse_retry_after(std::string_view text, time_t now) {
  text = trim(text);
  unsigned seconds = 0;
  if (const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
      error == std::errc() && end == text.data() + text.size())
    return std::min<milliseconds>(std::chrono::seconds(seconds), kLongestRetryAfter);
  const time_t date = curl_getdate(std::string(text).c_str(), nullptr);
  if (date == -1) return {};
  return std::clamp<milliseconds>(std::chrono::seconds(date - now), milliseconds(0), kLongestRetryAfter);
}

bool is_retryable(long status) { return status == 429 || status == 502 || status == 503 || status == 504; }

Delivery::Delivery(DeliverySettings settings) : settings_(std::move(settings)), curl_(std::make_unique<Curl>()) {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURL* handle = curl_->handle = curl_easy_init();
  if (once != CURLE_OK || handle == nullptr) throw std::runtime_error("libcurl cannot be initialized");
  curl_->add(settings_.json ? "Content-Type: application/json" : "Content-Type: application/x-protobuf");
  if (settings_.gzip) curl_->add("Content-Encoding: gzip");
  curl_->add("Expect:");  // no 100-continue: it costs a round trip
  for (const auto& [name, value] : settings_.headers)
    curl_->add(std::string(name).append(value.empty() ? ";" : ": ").append(value));
  curl_easy_setopt(handle, CURLOPT_URL, settings_.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, curl_->headers);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, settings_.user_agent.c_str());
  curl_easy_setopt(handle, CURLOPT_POST, 1L);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);  // no waiting for a name server that does not answer
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
  if (!settings_.certificate.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, settings_.certificate.c_str());
  if (!settings_.client_certificate.empty())
    curl_easy_setopt(handle, CURLOPT_SSLCERT, settings_.client_certificate.c_str());
  if (!settings_.client_key.empty()) curl_easy_setopt(handle, CURLOPT_SSLKEY, settings_.client_key.c_str());
}

Delivery::~Delivery() = default;

Delivery::Attempt Delivery::attempt(std::string_view body, Clock::time_point deadline) {
  Attempt result;
  const auto left = std::chrono::duration_cast<milliseconds>(no_later_than(deadline) - Clock::now());
  if (left <= milliseconds(0)) {
    result.error = "no time left";
    return result;
  }
  CURL* handle = curl_->handle;
  curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS,
                   static_cast<long>(std::min<int64_t>(left.count(), settings_.timeout_ms)));
  curl_easy_setopt(
      handle, CURLOPT_WRITEFUNCTION, +[](char* data, size_t size, size_t n, void* out) -> size_t {
        auto& text = *static_cast<std::string*>(out);
        // What is too long was taken all the same: the rest of the answer is of no use to us.
        if (text.size() + size * n <= kMaxAnswer) text.append(data, size * n);
        return size * n;
      });
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &result.body);
  curl_easy_setopt(
      handle, CURLOPT_HEADERFUNCTION, +[](char* data, size_t size, size_t n, void* out) -> size_t {
        const std::string_view line(data, size * n);
        const size_t colon = line.find(':');
        constexpr std::string_view kName = "retry-after";
        if (colon == kName.size() && std::equal(kName.begin(), kName.end(), line.begin(),
                                                [](char a, char b) { return a == (b | 0x20) || a == b; }))
          *static_cast<std::optional<milliseconds>*>(out) = parse_retry_after(line.substr(colon + 1), time(nullptr));
        return size * n;
      });
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &result.retry_after);
  // Waits no longer than a host that stops will wait for us.
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(
      handle, CURLOPT_XFERINFOFUNCTION, +[](void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) -> int {
        return static_cast<Delivery*>(self)->no_later_than(Clock::time_point::max()) < Clock::now() ? 1 : 0;
      });
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, this);
  const CURLcode code = curl_easy_perform(handle);
  if (code == CURLE_OK) {
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &result.status);
  } else {
    result.error = curl_easy_strerror(code);
    result.passing = code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT ||
                     code == CURLE_OPERATION_TIMEDOUT || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
                     code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE || code == CURLE_SSL_CONNECT_ERROR;
  }
  return result;
}

Delivery::Clock::time_point Delivery::no_later_than(Clock::time_point time) {
  const std::lock_guard lock(mutex_);
  return end_ ? std::min(*end_, time) : time;
}

bool Delivery::pause(milliseconds time) {
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, time, [this] { return end_.has_value(); });
}

void Delivery::stop(milliseconds patience) {
  const std::lock_guard lock(mutex_);
  end_ = Clock::now() + patience;
  stopped_.notify_all();
}

Delivered Delivery::deliver(const std::string& body) {
  const std::string packed = settings_.gzip ? bulkhead::gzip(body, Z_BEST_SPEED) : std::string();
  const Clock::time_point deadline = Clock::now() + milliseconds(settings_.total_timeout_ms);
  Delivered result;
  milliseconds pause_for = kFirstPause;
  while (true) {
    ++result.attempts;
    Attempt made = attempt(settings_.gzip ? packed : body, deadline);
    result.status = made.status;
    result.body = std::move(made.body);
    result.good = made.status >= 200 && made.status < 300;
    if (result.good) return result;
    result.error = made.status != 0 ? "the collector answered " + std::to_string(made.status) : made.error;
    result.passing = made.status != 0 ? is_retryable(made.status) : made.passing;
    if (!result.passing) return result;
    // Never less than a pause of our own: a collector's clock may be wrong.
    const milliseconds own(static_cast<int64_t>(static_cast<double>(pause_for.count()) * (0.5 + random_unit() / 2)));
    const milliseconds wait = std::max(own, made.retry_after.value_or(own));
    pause_for = std::min(pause_for * 2, kLongestPause);
    // Told to stop meanwhile: one more attempt, in the time that is left.
    if (Clock::now() + wait >= no_later_than(deadline) || (!pause(wait) && result.attempts > 1)) return result;
  }
}

}  // namespace tracing
