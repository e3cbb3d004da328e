// `bulkhead run auth keys ...`: the keys, managed by way of the database.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "key_store.hpp"
#include "settings.hpp"

namespace auth {

inline constexpr std::string_view kKeysUsage =
    "create --name NAME --scopes people:read,people:write [--expires 90d] [--tenant NAME] | list | rotate ID [--grace "
    "1h] | revoke ID";

// Waits for the database. Throws std::invalid_argument for wrong words, bulkhead::Failure for what
// the database says.
void keys_command(const KeyStore& store, const Settings& settings, const std::vector<std::string>& words,
                  const bulkhead::Print& print);

}  // namespace auth
