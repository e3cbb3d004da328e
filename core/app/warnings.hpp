// What a configuration allows that an operator rarely means.
#pragma once

#include <string>
#include <vector>

#include "core/config/model.hpp"

namespace bulkhead::app {

// One line each, with what to do. Plugins warn of their own settings in the log.
std::vector<std::string> unsafe_settings(const config::Config& config);

}  // namespace bulkhead::app
