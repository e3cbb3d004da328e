#include "core/chain/host_answers.hpp"

#include <array>
#include <string>
#include <utility>

#include "bulkhead/attributes.h"
#include "bulkhead/text/scopes.hpp"
#include "bulkhead/value.hpp"
#include "core/chain/problem.hpp"
#include "core/chain/table.hpp"
#include "core/exchange/target.hpp"

namespace bulkhead::chain {

bool authorize(exchange::Exchange& ex) {
  const std::string& scope = ex.plan->route->scope;
  if (scope.empty()) return true;
  std::string_view subject, scopes;
  if (!ex.get(BH_IDENTITY_SUBJECT, &subject)) {
    answer_problem(
        ex, 401,
        "This operation needs the scope '" + scope + "', and the request carries no credentials that are known.", {},
        "www-authenticate", "Bearer scope=\"" + scope + "\"");
    return false;
  }
  ex.get(BH_IDENTITY_SCOPES, &scopes);
  if (has_scope(scopes, scope)) return true;
  answer_problem(ex, 403, "This operation needs the scope '" + scope + "'.", {}, "www-authenticate",
                 "Bearer error=\"insufficient_scope\", scope=\"" + scope + "\"");
  return false;
}

void answer_unmatched(exchange::Exchange& ex) {
  const std::string_view method = to_view(ex.request.method);
  const Endpoint* endpoint = ex.endpoint;
  if (method == "OPTIONS" && (endpoint != nullptr || to_view(ex.request.target) == "*")) {
    std::array<bh_pair, 3> fields;
    size_t count = 0;
    fields[count++] = {to_str("allow"), to_str(endpoint != nullptr ? std::string_view(endpoint->allow)
                                                                   : "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")};
    // RFC 5789 §3.1, and Accept-Post of the Linked Data Platform.
    for (const auto& [takes, field] : {std::pair("PATCH", "accept-patch"), std::pair("POST", "accept-post")})
      if (const Plan* plan = endpoint != nullptr ? endpoint->find(takes) : nullptr;
          plan != nullptr && !plan->route->consumes.empty())
        fields[count++] = {to_str(field), to_str(plan->route->consumes)};
    ex.answer(204, {}, {}, {}, fields.data(), count);
  } else if (!exchange::known_method(method)) {
    answer_problem(ex, 501, "The method " + std::string(method) + " is not implemented.");
  } else if (endpoint == nullptr) {
    answer_problem(ex, 404, ex.table->not_found);
  } else {
    answer_problem(ex, 405, "This path takes " + endpoint->allow + ".", {}, "allow", endpoint->allow);
  }
}

}  // namespace bulkhead::chain
