// The security-headers plugin: what browsers should refuse to do with our answers.
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "security_headers_config.hpp"
#include "security_headers_embedded.hpp"

namespace security_headers {

using bulkhead::Json;

namespace {

bool is_html(std::string_view type) {
  constexpr std::string_view kHtml = "text/html";
  return type.size() >= kHtml.size() &&
         std::equal(kHtml.begin(), kHtml.end(), type.begin(), [](char a, char b) { return a == (b | 0x20) || a == b; });
}

}  // namespace

class SecurityHeaders : public bulkhead::Plugin {
 public:
  SecurityHeaders(bulkhead::Host h, const security_headers_config::Config& config)
      : Plugin(h), api_policy_(config.content_security_policy), html_policy_(config.html_content_security_policy) {
    const auto set = [&](std::string_view name, const std::string& value) {
      if (value.empty()) return;
      for (const char c : value)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          throw bulkhead::Failure(BH_E_CONFIG, "the value of " + std::string(name) + " has a control character");
      fixed_.emplace_back(name, value);
    };
    set("x-content-type-options", "nosniff");
    set("x-frame-options", config.x_frame_options);
    set("referrer-policy", config.referrer_policy);
    set("permissions-policy", config.permissions_policy);
    set("cross-origin-opener-policy", config.cross_origin_opener_policy);
    set("cross-origin-resource-policy", config.cross_origin_resource_policy);
    set("origin-agent-cluster", "?1");
    set("x-dns-prefetch-control", "off");
    set("x-permitted-cross-domain-policies", "none");
    const auto& hsts = config.hsts;
    if (const uint64_t age = hsts.max_age_s; age != 0) {
      hsts_ = "max-age=" + std::to_string(age);
      if (hsts.include_subdomains) hsts_ += "; includeSubDomains";
      if (hsts.preload) hsts_ += "; preload";
    }
    hook(BH_RESPOND, [this](const bulkhead::Request& request) { return respond(request); });
  }

 private:
  bh_flow respond(const bulkhead::Request& request) {
    const auto outcome = request.outcome();
    if (!outcome) return BH_NEXT;
    std::array<bh_pair, 16> added;
    size_t count = 0;
    // A header that the answer has already stays.
    const auto add = [&](std::string_view name, std::string_view value) {
      if (!value.empty() && outcome->field(name).empty()) added[count++] = bulkhead::to_pair(name, value);
    };
    for (const auto& [name, value] : fixed_) add(name, value);
    add("content-security-policy", is_html(outcome->field("content-type")) ? html_policy_ : api_policy_);
    // RFC 6797 §7.2: not over plain HTTP.
    if (request.scheme() == "https") add("strict-transport-security", hsts_);
    if (count != 0) request.edit({.fields = {added.data(), count}});
    return BH_NEXT;
  }

  std::vector<std::pair<std::string, std::string>> fixed_;
  const std::string api_policy_, html_policy_;
  std::string hsts_;
};

}  // namespace security_headers

BULKHEAD_PLUGIN(security_headers::SecurityHeaders, "security-headers", "1.0.0",
                "Tells browsers what to refuse to do with answers.", .schema = security_headers_embedded::schema_json)
