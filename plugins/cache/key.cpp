#include "key.hpp"

#include <array>

namespace cache {

using bulkhead::to_view;

void make_key(const bulkhead::Request& request, bool per_identity, std::string* key) {
  static constexpr std::array<std::string_view, 3> kFields = {"accept", "prefer", "range"};
  const bh_request& raw = request.raw();
  key->assign(to_view(raw.authority));
  (*key += '\n') += request.target();
  for (const std::string_view name : kFields) {
    *key += '\n';  // which neither a target nor a field can hold
    for (size_t i = 0; i < raw.header_count; ++i)
      if (to_view(raw.headers[i].name) == name) (*key += to_view(raw.headers[i].value)) += ',';
  }
  if (!per_identity) return;
  static constexpr std::array<std::string_view, 4> kIdentity = {"identity.subject", "identity.tenant",
                                                                "identity.scopes", "tls.client.subject"};
  for (const std::string_view name : kIdentity) {
    const std::string_view value = request.attribute(name);
    if (value.empty()) continue;
    ((*key += '\n') += std::to_string(value.size())) += name;
    *key += value;
  }
}

}  // namespace cache
