#include "fetch.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <memory>
#include <stdexcept>

#include "bulkhead/text/fields.hpp"
#include "bulkhead/text/json.hpp"

namespace auth {

using Json = nlohmann::json;

namespace {

constexpr size_t kMaxDocument = 256 * 1024;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

// What curl itself makes of it, so that nothing is checked that is read differently later.
class Url {
 public:
  explicit Url(const std::string& text) : url_(curl_url()) {
    good_ = url_ && curl_url_set(url_.get(), CURLUPART_URL, text.c_str(), CURLU_DISALLOW_USER) == CURLUE_OK;
  }
  bool good() const { return good_; }
  std::string part(CURLUPart which, unsigned flags = 0) const {
    char* text = nullptr;
    if (!good_ || curl_url_get(url_.get(), which, &text, flags) != CURLUE_OK) return {};
    std::string copy(text);
    curl_free(text);
    return bulkhead::lowered(copy);
  }

 private:
  std::unique_ptr<CURLU, FreeUrl> url_;
  bool good_ = false;
};

struct Transfer {
  std::string body;
  bool too_large = false;
  const std::atomic<bool>* stop = nullptr;
};

struct FreeCurl {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

}  // namespace

std::string check_url(const std::string& text) {
  const Url url(text);
  const std::string scheme = url.part(CURLUPART_SCHEME), host = url.part(CURLUPART_HOST);
  if (!url.good() || host.empty() || !url.part(CURLUPART_FRAGMENT).empty())
    return "'" + text + "' is not a URL; write https://login.example/tenant";
  if (scheme == "https") return {};
  if (scheme != "http") return "'" + text + "' is neither https nor http";
  in_addr address{};
  const bool v4 = inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
  if (host == "localhost" || host == "[::1]" || v4) return {};
  return "'" + text + "' is http, and not on this machine: an attacker in between could replace the keys; write https";
}

std::string origin_of(const std::string& text) {
  const Url url(text);
  return url.part(CURLUPART_SCHEME) + "://" + url.part(CURLUPART_HOST) + ":" +
         url.part(CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

Json fetch_json(const std::string& url, const FetchSettings& settings, const std::atomic<bool>& stop) {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, FreeCurl> curl(curl_easy_init());
  if (once != CURLE_OK || !curl) throw std::runtime_error("libcurl cannot be initialized");
  Transfer transfer;
  transfer.stop = &stop;
  CURL* handle = curl.get();
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(handle, CURLOPT_PROXY, "");  // the environment's proxy is for others
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(settings.timeout_ms));
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, nullptr);
  if (!settings.ca.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, settings.ca.c_str());
  curl_easy_setopt(
      handle, CURLOPT_WRITEFUNCTION, +[](char* data, size_t size, size_t n, void* out) -> size_t {
        auto& into = *static_cast<Transfer*>(out);
        into.too_large = into.body.size() + size * n > kMaxDocument;
        if (into.too_large) return 0;
        into.body.append(data, size * n);
        return size * n;
      });
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(
      handle, CURLOPT_XFERINFOFUNCTION, +[](void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) -> int {
        return static_cast<Transfer*>(self)->stop->load() ? 1 : 0;
      });
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
  const CURLcode code = curl_easy_perform(handle);
  if (transfer.too_large) throw std::runtime_error(url + ": the document is larger than 256 KiB");
  if (code != CURLE_OK) throw std::runtime_error(url + ": " + curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) throw std::runtime_error(url + ": answered " + std::to_string(status));
  try {
    Json document = bulkhead::parse_json(transfer.body).value;
    if (document.is_object()) return document;
  } catch (const bulkhead::JsonError& error) {
    throw std::runtime_error(url + ": is not JSON: " + error.message);
  }
  throw std::runtime_error(url + ": is not a JSON object");
}

}  // namespace auth
