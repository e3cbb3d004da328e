// Calls another server, as a plugin does that continues the trace of its request.
#include <curl/curl.h>

#include <string>

#include "bulkhead/plugin.hpp"

class Outbound : public bulkhead::Plugin {
 public:
  Outbound(bulkhead::Host h, const bulkhead::Json& config) : Plugin(h), url_(config.at("url")) {
    get("/outbound", &Outbound::call, {}, {.blocking = true});
  }

 private:
  bulkhead::Response call(const bulkhead::Request& request) {
    bulkhead::Span span = host().span("GET", BH_SPAN_CLIENT, request.handle());
    span.tag("http.request.method", "GET");
    curl_slist* headers = curl_slist_append(nullptr, ("traceparent: " + span.context()).c_str());
    for (const std::string_view name : {"tracestate", "baggage"})
      if (const std::string_view value = request.attribute("tracing." + std::string(name)); !value.empty())
        headers = curl_slist_append(headers, (std::string(name) + ": " + std::string(value)).c_str());
    CURL* handle = curl_easy_init();
    std::string body;
    curl_easy_setopt(handle, CURLOPT_URL, url_.c_str());
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, 5000L);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(
        handle, CURLOPT_WRITEFUNCTION, +[](char* data, size_t size, size_t n, void* out) {
          static_cast<std::string*>(out)->append(data, size * n);
          return size * n;
        });
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
    const CURLcode code = curl_easy_perform(handle);
    curl_slist_free_all(headers);
    curl_easy_cleanup(handle);
    span.end(code == CURLE_OK ? BH_OK : BH_E_UNAVAILABLE);
    if (code != CURLE_OK) throw bulkhead::Problem(502, curl_easy_strerror(code));
    return bulkhead::text(200, body);
  }

  const std::string url_;
};

BULKHEAD_PLUGIN(Outbound, "outbound", "1.0.0", "Calls another server.",
                .schema = R"({"type":"object","required":["url"],"properties":{"url":{"type":"string"}}})")
