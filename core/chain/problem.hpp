// Errors as RFC 9457 problem details.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::exchange {
class Exchange;
}

namespace bulkhead::chain {

inline constexpr std::string_view kProblemType = "application/problem+json";

// The JSON text; `instance` is the request id, omitted when empty.
std::string problem(int status, std::string_view detail, std::string_view instance);

// Answers with a problem, in the name of `author` ("" = host). 503 and 429 carry
// Retry-After; `field` is one more, such as Allow. False if another answer came first.
bool answer_problem(exchange::Exchange& ex, int status, std::string_view detail, std::string_view author = {},
                    std::string_view field = {}, std::string_view value = {});

}  // namespace bulkhead::chain
