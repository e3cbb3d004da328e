// Status line and header block of an answer.
#pragma once

#include <string_view>

#include "core/chain/run.hpp"

namespace bulkhead::http::http1 {

// True for a status whose answer never has a body (RFC 9110 §6.4.1).
constexpr bool bodiless(int status) { return status < 200 || status == 204 || status == 304; }

// Fields of an answer that are the host's to write, or are meant for a cache inside it.
bool kept_back(std::string_view name);

// In memory of the answer. Fields that frame the message are the host's; a plugin's are left out.
// `dropped` is set where a field was left out because its name or value would break the message.
std::string_view write_head(chain::Run& run, bool keep_alive, std::string_view date, bool* dropped);

}  // namespace bulkhead::http::http1
