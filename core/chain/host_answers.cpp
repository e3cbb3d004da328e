#include "core/chain/host_answers.hpp"

#include <array>
#include <string>
#include <utility>

#include "bulkhead/attributes.h"
#include "bulkhead/text/scopes.hpp"
#include "bulkhead/value.hpp"
#include "core/chain/problem.hpp"
#include "core/chain/table.hpp"
#include "core/exchange/method.hpp"

namespace bulkhead::chain {

bool authorize(Run& run) {
  const std::string& scope = run.plan->route->scope;
  if (scope.empty()) return true;
  std::string_view subject, scopes;
  if (!run.notes.get(BH_IDENTITY_SUBJECT, &subject)) {
    answer_problem(
        run, 401,
        "This operation needs the scope '" + scope + "', and the request carries no credentials that are known.", {},
        "www-authenticate", "Bearer scope=\"" + scope + "\"");
    return false;
  }
  run.notes.get(BH_IDENTITY_SCOPES, &scopes);
  if (has_scope(scopes, scope)) return true;
  answer_problem(run, 403, "This operation needs the scope '" + scope + "'.", {}, "www-authenticate",
                 "Bearer error=\"insufficient_scope\", scope=\"" + scope + "\"");
  return false;
}

void answer_unmatched(Run& run) {
  const std::string_view method = to_view(run.request.method);
  const Endpoint* endpoint = run.endpoint;
  if (method == "OPTIONS" && (endpoint != nullptr || to_view(run.request.target) == "*")) {
    std::array<bh_pair, 3> fields;
    size_t count = 0;
    fields[count++] = {to_str("allow"), to_str(endpoint != nullptr ? std::string_view(endpoint->allow)
                                                                   : "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")};
    // RFC 5789 §3.1, and Accept-Post of the Linked Data Platform.
    for (const auto& [takes, field] : {std::pair("PATCH", "accept-patch"), std::pair("POST", "accept-post")})
      if (const Plan* plan = endpoint != nullptr ? endpoint->find(takes) : nullptr;
          plan != nullptr && !plan->route->consumes.empty())
        fields[count++] = {to_str(field), to_str(plan->route->consumes)};
    run.answer.give(204, {}, {}, {}, {fields.data(), count});
  } else if (!exchange::known_method(method)) {
    answer_problem(run, 501, "The method " + std::string(method) + " is not implemented.");
  } else if (endpoint == nullptr) {
    answer_problem(run, 404, run.table->not_found);
  } else {
    answer_problem(run, 405, "This path takes " + endpoint->allow + ".", {}, "allow", endpoint->allow);
  }
}

}  // namespace bulkhead::chain
