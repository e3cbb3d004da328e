// UTF-8 for an exposition, whose readers refuse a whole scrape over one wrong byte.
#pragma once

#include <string>
#include <string_view>

namespace metrics {

// With U+FFFD in place of what is no UTF-8 (RFC 3629).
std::string clean_utf8(std::string_view text);

}  // namespace metrics
