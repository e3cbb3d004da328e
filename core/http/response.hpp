// Status line and header block of an answer.
#pragma once

#include <string>
#include <string_view>

#include "core/exchange/exchange.hpp"

namespace bulkhead::http {

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7), made once a second. One thread.
class DateCache {
 public:
  std::string_view now();

 private:
  long second_ = -1;
  char text_[32] = {};
};

// True for a status whose answer never has a body (RFC 9110 §6.4.1).
constexpr bool bodiless(int status) { return status < 200 || status == 204 || status == 304; }

// Writes into ex.out_head. Fields that frame the message are the host's; a plugin's are left out.
// Returns false where a field was dropped because its name or value would break the message.
bool write_head(exchange::Exchange& ex, bool keep_alive, std::string_view date);

}  // namespace bulkhead::http
