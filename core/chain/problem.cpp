#include "core/chain/problem.hpp"

#include <nlohmann/json.hpp>

#include "bulkhead/status.hpp"
#include "core/exchange/exchange.hpp"

namespace bulkhead::chain {

std::string problem(int status, std::string_view detail, std::string_view instance) {
  nlohmann::ordered_json body = {
      {"type", "about:blank"}, {"title", reason_phrase(status)}, {"status", status}, {"detail", detail}};
  if (!instance.empty()) body["instance"] = instance;
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool answer_problem(exchange::Exchange& ex, int status, std::string_view detail, std::string_view author,
                    std::string_view field, std::string_view value) {
  bh_pair extra[2];
  size_t count = 0;
  if (status == 503 || status == 429) extra[count++] = {to_str("retry-after"), to_str("1")};
  if (!field.empty()) extra[count++] = {to_str(field), to_str(value)};
  return ex.answer.give(status, kProblemType, problem(status, detail, to_view(ex.request.id)), author, {extra, count});
}

}  // namespace bulkhead::chain
