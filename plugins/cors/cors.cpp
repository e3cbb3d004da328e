// The cors plugin: which pages of other origins may read our answers (Fetch standard, "CORS
// protocol").
#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/text/fields.hpp"
#include "bulkhead/text/glob.hpp"
#include "cors_config.hpp"
#include "cors_embedded.hpp"

namespace cors {

using bulkhead::Json;
using bulkhead::Request;

namespace {

std::string join(const Json& list) {
  std::string joined;
  for (const Json& each : list) joined.append(joined.empty() ? "" : ", ").append(each.get_ref<const std::string&>());
  return joined;
}

// "https://app.example", "https://*.app.example", "null", "*": a serialized origin has no path.
void check_origin(const std::string& pattern) {
  if (pattern == "*" || pattern == "null") return;
  const size_t scheme = pattern.find("://");
  if (scheme == std::string::npos || scheme == 0 || pattern.find('/', scheme + 3) != std::string::npos ||
      pattern.size() == scheme + 3)
    throw bulkhead::Failure(
        BH_E_CONFIG,
        "/origins: '" + pattern + "' is not an origin: write https://app.example, without a path or a / at its end");
}

// Whether this is a serialized origin (RFC 6454 §6.2, or "null"): only that is echoed in a header.
bool serialized(std::string_view origin) {
  return std::all_of(origin.begin(), origin.end(), [](char c) {
    return bulkhead::is_alnum(c) || std::string_view("-._~:/[]").find(c) != std::string::npos;
  });
}

// The field names of a list (RFC 9110 §5.6.2). Items that are no token are left out.
std::string tokens(std::string_view list) {
  std::string out;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view item = bulkhead::trim_ows(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (bulkhead::is_token(item)) out.append(out.empty() ? "" : ", ").append(item);
  }
  return out;
}

}  // namespace

class Cors : public bulkhead::Plugin {
 public:
  Cors(bulkhead::Host h, const cors_config::Config& config)
      : Plugin(h),
        origins_(config.origins),
        methods_(join(config.methods)),
        headers_(join(config.headers)),
        exposed_(join(config.expose)),
        max_age_(std::to_string(config.max_age_s)),
        credentials_(config.credentials),
        everybody_(std::find(origins_.begin(), origins_.end(), "*") != origins_.end()) {
    for (const std::string& origin : origins_) check_origin(origin);
    if (credentials_ && (everybody_ || headers_ == "*" || exposed_ == "*"))
      throw bulkhead::Failure(
          BH_E_CONFIG, "/credentials: with them browsers take '*' literally: list the origins, headers and expose");
    hook(BH_ADMIT, [this](const Request& request) { return admit(request); });
    hook(BH_RESPOND, [this](const Request& request) { return respond(request); });
  }

 private:
  // Compared as a whole, case and all; a * stands for one or more labels of a name, never for a '/'
  // or a port's colon.
  bool allowed(std::string_view origin) const {
    if (!serialized(origin)) return false;
    if (everybody_) return true;
    return std::any_of(origins_.begin(), origins_.end(), [origin](const std::string& pattern) {
      const size_t star = pattern.find('*');
      if (star == std::string::npos) return origin == pattern;
      const std::string_view before = std::string_view(pattern).substr(0, star),
                             after = std::string_view(pattern).substr(star + 1);
      if (origin.size() <= before.size() + after.size() || !origin.starts_with(before) || !origin.ends_with(after))
        return false;
      const std::string_view middle = origin.substr(before.size(), origin.size() - before.size() - after.size());
      return middle.find_first_of("/:@") == std::string_view::npos;
    });
  }

  // A preflight is answered here, before authentication: it carries no credentials.
  bh_flow admit(const Request& request) {
    const std::string_view origin = request.header("origin");
    if (request.method() != "OPTIONS" || origin.empty() || !request.has_header("access-control-request-method"))
      return BH_NEXT;
    if (!allowed(origin)) return BH_NEXT;  // the usual answer, which browsers refuse
    bulkhead::Response response(204);
    response.header("access-control-allow-methods", methods_).header("access-control-max-age", max_age_);
    if (headers_ != "*" || !request.has_header("access-control-request-headers")) {
      if (!headers_.empty()) response.header("access-control-allow-headers", headers_);
    } else {
      // Named one by one: '*' does not cover Authorization.
      response.header("access-control-allow-headers", tokens(*request.header_list("access-control-request-headers")));
    }
    response.header("vary", "access-control-request-method, access-control-request-headers");
    return answer(request, std::move(response));
  }

  bh_flow respond(const Request& request) {
    const std::string_view origin = request.header("origin");
    const bool any = everybody_ && !credentials_;
    std::array<bh_pair, 3> added;
    size_t count = 0;
    if (!origin.empty() && allowed(origin)) {
      added[count++] = bulkhead::to_pair("access-control-allow-origin", any ? std::string_view("*") : origin);
      if (credentials_) added[count++] = bulkhead::to_pair("access-control-allow-credentials", "true");
      if (!exposed_.empty() && request.method() != "OPTIONS")
        added[count++] = bulkhead::to_pair("access-control-expose-headers", exposed_);
    }
    if (count != 0) request.edit({.fields = {added.data(), count}});
    // Also where it is refused: a cache must not give that answer to an allowed origin.
    const bh_pair vary = bulkhead::to_pair("vary", "origin");
    if (!any) request.edit({.fields = {&vary, 1}, .append = true});
    return BH_NEXT;
  }

  const std::vector<std::string> origins_;
  const std::string methods_, headers_, exposed_, max_age_;
  const bool credentials_, everybody_;
};

// What is kept of an answer for others is taken before these are added; a page of one origin gets
// its own.
constexpr bh_str kBefore[] = {bulkhead::to_str("auth"), bulkhead::to_str("cache"), bulkhead::to_str("ratelimit")};

}  // namespace cors

BULKHEAD_PLUGIN(cors::Cors, "cors", "1.0.0", "Which pages of other origins may read answers.",
                .schema = cors_embedded::schema_json, .before = cors::kBefore)
