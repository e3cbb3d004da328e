// DateCache: the Date header's value.
#pragma once

#include <string_view>

namespace bulkhead::http {

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7), made once a second. One thread.
class DateCache {
 public:
  std::string_view now();

 private:
  long second_ = -1;
  char text_[32] = {};
};

}  // namespace bulkhead::http
