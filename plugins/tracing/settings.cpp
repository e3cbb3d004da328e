#include "settings.hpp"

#include <curl/curl.h>

#include <array>
#include <charconv>
#include <memory>

#include "bulkhead/text/nearest.hpp"
#include "bulkhead/text/percent.hpp"

namespace tracing {

using tracing_config::Config;

namespace {

[[noreturn]] void refuse(const std::string& key, const std::string& why) {
  throw bulkhead::Failure(BH_E_CONFIG, "/" + key + ": " + why);
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> parts;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (const std::string_view part = trim(list.substr(0, comma)); !part.empty()) parts.push_back(part);
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return parts;
}

// "key1=value1,key2=value2", values percent-encoded: OTEL_RESOURCE_ATTRIBUTES,
// OTEL_EXPORTER_OTLP_HEADERS.
std::vector<std::pair<std::string, std::string>> pairs(const std::string& key, std::string_view list) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const std::string_view part : split(list)) {
    const size_t equals = part.find('=');
    const std::string_view name = trim(part.substr(0, equals));
    std::string value;
    if (equals == std::string_view::npos || name.empty() ||
        !bulkhead::percent_decode(trim(part.substr(equals + 1)), &value))
      refuse(key, "part " + std::to_string(found.size() + 1) + " is not 'name=value' with a percent-encoded value");
    for (const char c : value)
      if (c == '\r' || c == '\n') refuse(key, "the value of '" + std::string(name) + "' has a line break");
    found.emplace_back(name, std::move(value));
  }
  return found;
}

void check_url(const std::string& key, const std::string& url) {
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    refuse(key, "'" + show_url(url) + "' is not an http:// or https:// URL");
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK)
    refuse(key, "'" + show_url(url) + "' is no valid URL: it has a host, and a port from 1 to 65535");
  if (url.find('#') != std::string::npos) refuse(key, "'" + show_url(url) + "' has a '#', which is never sent");
}

// Of one signal: its own endpoint as it stands, or the common one with the signal's path.
std::string endpoint(const Config& config, const std::string& own, const std::string& signal) {
  const std::string own_key = signal + "_endpoint";
  if (!own.empty()) {
    check_url(own_key, own);
    return own;
  }
  std::string base = config.endpoint;
  if (base.empty()) return {};
  check_url("endpoint", base);
  if (base.find('?') != std::string::npos)
    refuse("endpoint", "the signal's path follows '" + show_url(base) + "', so it must have no query; set " + own_key +
                           " to a whole URL");
  if (!base.ends_with('/')) base += '/';
  return base + "v1/" + signal;
}

void read_sampler(const Config& config, Settings* settings) {
  const std::string &name = config.sampler, &text = config.sampler_arg;
  std::string_view root = name;
  SamplerSettings& sampler = settings->sampler;
  sampler.parent_based = root.starts_with("parentbased_");
  if (sampler.parent_based) root.remove_prefix(std::string_view("parentbased_").size());
  if (root == "always_on") {
    sampler.ratio = 1;
  } else if (root == "always_off") {
    sampler.ratio = 0;
  } else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sampler.ratio);
    if (error != std::errc() || end != text.data() + text.size() || !(sampler.ratio >= 0 && sampler.ratio <= 1))
      refuse("sampler_arg", "'" + text + "' is not a share from 0 to 1");
  }
  sampler.trust_sampled = config.trust_sampled;
  sampler.slow_ms = config.slow_ms;
  sampler.max_spans_per_second = config.max_spans_per_second;
  for (const Config::Rule& rule : config.rules) sampler.rules.push_back({rule.route, rule.ratio});
}

void read_propagators(const Config& config, Settings* settings) {
  constexpr std::array<std::string_view, 3> kKnown = {"tracecontext", "baggage", "none"};
  settings->trace_context = settings->baggage = false;
  const std::string& text = config.propagators;
  for (const std::string_view name : split(text)) {
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
      const std::string near = bulkhead::nearest(name, std::vector<std::string>(kKnown.begin(), kKnown.end()));
      refuse("propagators",
             "'" + std::string(name) + "' is not known" +
                 (near.empty() ? "; there are tracecontext, baggage and none" : ", did you mean '" + near + "'?"));
    }
    settings->trace_context |= name == "tracecontext";
    settings->baggage |= name == "baggage";
  }
}

}  // namespace

Settings read_settings(const Config& config, std::string_view version) {
  Settings settings;
  DeliverySettings delivery;
  delivery.json = config.protocol == "http/json";
  delivery.gzip = config.compression == "gzip";
  delivery.timeout_ms = config.timeout_ms;
  delivery.headers = pairs("headers", config.headers);
  delivery.certificate = config.certificate;
  delivery.client_certificate = config.client_certificate;
  delivery.client_key = config.client_key;
  delivery.user_agent = "OTel-OTLP-Exporter-Bulkhead/" + std::string(version);
  settings.traces = settings.logs = delivery;
  settings.traces.url = endpoint(config, config.traces_endpoint, "traces");
  settings.logs.url = endpoint(config, config.logs_endpoint, "logs");
  const bool disabled = config.disabled;
  settings.export_traces = !disabled && !settings.traces.url.empty();
  settings.take_logs = config.logs;
  settings.export_logs = !disabled && settings.take_logs && !settings.logs.url.empty();
  const Config::Batch& batch = config.batch;
  settings.batch = {batch.queue, batch.size, batch.delay_ms};
  settings.traces.total_timeout_ms = settings.logs.total_timeout_ms = batch.timeout_ms;
  if (settings.batch.batch > settings.batch.queue)
    refuse("batch/size", "a batch cannot be larger than the queue (batch/queue)");
  const Config::Limits& limits = config.limits;
  settings.limits = {limits.spans, limits.attributes, limits.links, limits.text};
  settings.steps = config.steps;
  settings.redact_query = config.redact_query;
  read_sampler(config, &settings);
  read_propagators(config, &settings);

  // What OTEL_RESOURCE_ATTRIBUTES says gives way to keys of their own.
  settings.resource = pairs("resource", config.resource);
  const auto set = [&settings](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    std::erase_if(settings.resource, [name](const auto& each) { return each.first == name; });
    settings.resource.emplace_back(name, value);
  };
  set("service.name", config.service);
  set("service.version", config.service_version);
  set("service.instance.id", config.instance);
  set("deployment.environment.name", config.environment);
  set("telemetry.sdk.name", "bulkhead");
  set("telemetry.sdk.language", "cpp");
  set("telemetry.sdk.version", std::string(version));
  return settings;
}

}  // namespace tracing
