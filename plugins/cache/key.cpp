#include "key.hpp"

#include <array>

namespace cache {

using bulkhead::to_view;

void make_key(const bulkhead::Request& request, bool per_identity, std::string* key) {
  static constexpr std::array<std::string_view, 3> kFields = {"accept", "prefer", "range"};
  key->assign(request.authority());
  (*key += '\n') += request.target();
  for (const std::string_view name : kFields) {
    *key += '\n';  // which neither a target nor a field can hold
    for (const bh_pair& field : request.fields())
      if (to_view(field.name) == name) (*key += to_view(field.value)) += ',';
  }
  if (!per_identity) return;
  static constexpr std::array<std::string_view, 4> kIdentity = {BH_IDENTITY_SUBJECT, BH_IDENTITY_TENANT,
                                                                BH_IDENTITY_SCOPES, BH_TLS_CLIENT_SUBJECT};
  for (const std::string_view name : kIdentity) {
    const std::string_view value = request.attribute(name);
    if (value.empty()) continue;
    ((*key += '\n') += std::to_string(value.size())) += name;
    *key += value;
  }
}

}  // namespace cache
