// Request targets: percent-decoding, dot segments, forms.
#include <string>

#include "core/http/http1/target.hpp"
#include "fuzz.hpp"

using namespace bulkhead;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  static constexpr std::string_view kMethods[] = {"GET", "OPTIONS", "CONNECT", "BREW"};
  const std::string_view method = kMethods[input.byte() % 4];
  http::http1::Target target;
  http::http1::valid_authority(input.rest());
  if (!http::http1::split_target(method, input.rest(), &target)) return 0;
  fuzz::expect(target.path.empty() == (method == "CONNECT" || target.asterisk), "a path unless CONNECT or *");
  if (!target.path.empty()) fuzz::expect(target.path[0] == '/', "a path begins with a slash");
  if (!bulkhead::valid_percent(target.path)) return 0;

  std::string resolved(target.path.size() + 1, '\0');
  if (!target.path.empty()) {
    resolved.resize(http::http1::remove_dot_segments(target.path, resolved.data()));
    fuzz::expect(!resolved.empty() && resolved[0] == '/', "dot segments never climb above the root");
    fuzz::expect(!http::http1::has_dot_segments(resolved), "no dot segment is left");
    if (!http::http1::has_dot_segments(target.path))
      fuzz::expect(resolved == target.path, "other paths stay as they are");
    fuzz::expect(bulkhead::valid_percent(resolved), "escapes stay whole");
    std::string decoded(resolved.size(), '\0');
    decoded.resize(bulkhead::percent_decode(resolved, decoded.data()));
    fuzz::expect(decoded.find('\0') == std::string::npos || target.path.find('\0') != std::string_view::npos,
                 "no NUL comes of decoding");
  }
  return 0;
}
