// Identifies callers by a header, and shows what it sees of credentials. Configured with or without
// its grants it would be two plugins: this one has them.
#include "bulkhead/plugin.hpp"

class Identity : public bulkhead::Plugin {
 public:
  Identity(bulkhead::Host host, const bulkhead::Json& /*config*/) : Plugin(host) {
    hook(BH_AUTHENTICATE, &Identity::identify);
    route("GET", "/identity/secret", &Identity::show, {}, {.scope = "secrets:read"});
  }

 private:
  bh_flow identify(const bulkhead::Request& request) {
    if (request.header("authorization").empty()) return BH_NEXT;
    request.attribute("identity.subject", "somebody");
    request.attribute("identity.scopes",
                      request.header("authorization") == "Key good" ? "people:read secrets:read" : "people:read");
    return BH_NEXT;
  }
  bulkhead::Response show(const bulkhead::Request& request) {
    return bulkhead::text(200, std::string(request.header("authorization")));
  }
};
constexpr bh_str kGrants[] = {bulkhead::to_str("header:authorization"), bulkhead::to_str("phase:authenticate")};
BULKHEAD_PLUGIN(Identity, "identity", "1.0.0", "Identifies callers by a header.", .grants = kGrants)
