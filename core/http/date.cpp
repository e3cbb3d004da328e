#include "core/http/date.hpp"

#include <ctime>

namespace bulkhead::http {

std::string_view DateCache::now() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME_COARSE, &t);
  if (t.tv_sec != second_) {
    second_ = t.tv_sec;
    tm parts{};
    gmtime_r(&t.tv_sec, &parts);
    strftime(text_, sizeof text_, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  }
  return {text_, 29};
}

}  // namespace bulkhead::http
