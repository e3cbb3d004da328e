// The openapi plugin: the description of what runs, and a page to read and try it.
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "bulkhead/extensions/introspect.hpp"
#include "bulkhead/plugin.hpp"
#include "bulkhead/text/ascii.hpp"
#include "openapi_config.hpp"
#include "openapi_embedded.hpp"

namespace openapi {

using Json = nlohmann::ordered_json;

class OpenApi : public bulkhead::Plugin {
 public:
  OpenApi(bulkhead::Host h, const openapi_config::Config& config)
      : Plugin(h), title_(config.title), version_(config.version), introspection_(h) {
    if (!introspection_) throw bulkhead::Failure(BH_E_UNSUPPORTED, "the host lacks bh.introspect/1");
    const bulkhead::Operations operation(openapi_embedded::operations_json);
    get("/", &OpenApi::index, operation("index"));
    get("/openapi.json", &OpenApi::description, operation("description"));
    get("/docs", &OpenApi::docs, operation("docs"));
  }

 private:
  // A page runs its own script and no injected one (CSP Level 3: by hash).
  static std::string policy_of(std::string_view html) {
    return "default-src 'none'; style-src " + hash_of(html, "style") + "; script-src " + hash_of(html, "script") +
           "; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  }
  // 'sha256-...' of what stands in the only element of that name, 'none' without one.
  static std::string hash_of(std::string_view html, const std::string& element) {
    const size_t tag = html.find("<" + element + ">"), end = html.find("</" + element + ">");
    if (tag == std::string_view::npos || end == std::string_view::npos) return "'none'";
    const size_t begin = tag + element.size() + 2;
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(html.data()) + begin, end - begin, digest.data());
    std::array<unsigned char, 4 * (SHA256_DIGEST_LENGTH + 2) / 3 + 1> base64{};
    const int size = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(digest.size()));
    return "'sha256-" + std::string(reinterpret_cast<const char*>(base64.data()), static_cast<size_t>(size)) + "'";
  }
  static bulkhead::Response page(std::string_view html, const std::string& policy) {
    return bulkhead::Response(200)
        .type("text/html; charset=utf-8")
        .header("content-security-policy", policy)
        .lend(html);
  }
  bulkhead::Response index(const bulkhead::Request& /*request*/) {
    return page(openapi_embedded::index_html, index_policy_);
  }
  bulkhead::Response docs(const bulkhead::Request& /*request*/) {
    return page(openapi_embedded::docs_html, docs_policy_);
  }

  bulkhead::Response description(const bulkhead::Request& /*request*/) {
    // Made once a generation: it changes only when plugins or routes do.
    const uint64_t generation = introspection_.generation();
    std::shared_ptr<const std::string> text;
    {
      const std::lock_guard lock(mutex_);
      if (!text_ || generation != generation_) {
        text_ = std::make_shared<const std::string>(assemble());
        generation_ = generation;
      }
      text = text_;
    }
    return bulkhead::json(200, *text);
  }

  std::string assemble() const {
    Json document = {{"openapi", "3.1.0"},
                     {"info", {{"title", title_}, {"version", version_}}},
                     {"servers", {{{"url", "/"}}}},
                     {"paths", Json::object()},
                     {"components", Json::object()}};
    introspection_.routes([&document](const bh_route_info& info) {
      Json operation = Json::parse(bulkhead::to_view(info.operation), nullptr, false);
      if (!operation.is_object())
        operation = {{"summary", "Not described by the plugin " + std::string(bulkhead::to_view(info.plugin)) + "."}};
      if (!operation.contains("responses"))
        operation["responses"] = {{"default", {{"description", "See the plugin's documentation."}}}};
      if (info.scope.len != 0) operation["x-scope"] = bulkhead::to_view(info.scope);
      // What operations share, they bring along; the first to define a name wins.
      if (operation.contains("x-components")) {
        for (const auto& [kind, entries] : operation["x-components"].items())
          for (const auto& [name, value] : entries.items())
            if (!document["components"][kind].contains(name)) document["components"][kind][name] = value;
        operation.erase("x-components");
      }
      const std::string method = bulkhead::lowered(bulkhead::to_view(info.method));
      document["paths"][std::string(bulkhead::to_view(info.pattern))][method] = std::move(operation);
    });
    require_credentials(&document);
    list_tags(&document);
    return document.dump();
  }

  // A plugin that identifies callers brings its security schemes along; any of them will do for an
  // operation with a scope. The other operations are open, and say so.
  static void require_credentials(Json* document) {
    const Json schemes = document->at("components").value("securitySchemes", Json::object());
    for (auto& path : document->at("paths"))
      for (auto& operation : path) {
        Json& security = operation["security"] = Json::array();
        if (schemes.empty() || !operation.contains("x-scope")) continue;
        for (const auto& [name, scheme] : schemes.items()) security.push_back({{name, {operation["x-scope"]}}});
        refusal(&operation, "401", "The request has no credentials, or none that are known.");
        refusal(&operation, "403", "The credentials do not allow it.");
      }
  }
  static void refusal(Json* operation, const char* status, const char* description) {
    Json& responses = (*operation)["responses"];
    if (!responses.contains(status))
      responses[status] = {{"description", description},
                           {"content", {{"application/problem+json", {{"schema", {{"type", "object"}}}}}}}};
  }
  static void list_tags(Json* document) {
    std::set<std::string> names;
    for (const auto& path : document->at("paths"))
      for (const auto& operation : path)
        for (const auto& tag : operation.value("tags", Json::array()))
          if (tag.is_string()) names.insert(tag.get<std::string>());
    Json& tags = (*document)["tags"] = Json::array();
    for (const std::string& name : names) tags.push_back({{"name", name}});
  }

  const std::string title_, version_;
  const std::string index_policy_ = policy_of(openapi_embedded::index_html),
                    docs_policy_ = policy_of(openapi_embedded::docs_html);
  const bulkhead::Introspection introspection_;
  std::mutex mutex_;
  std::shared_ptr<const std::string> text_;
  uint64_t generation_ = 0;
};

constexpr bh_str kGrants[] = {bulkhead::to_str("route:/"), bulkhead::to_str("route:/openapi.json"),
                              bulkhead::to_str("route:/docs")};

}  // namespace openapi

BULKHEAD_PLUGIN(openapi::OpenApi, "openapi", "1.0.0", "The OpenAPI 3.1 description of the live routes, and /docs.",
                .schema = openapi_embedded::schema_json, .grants = openapi::kGrants)
