// Sizes ("32KiB", "1MiB", 4096) and durations ("5s", "250ms", "2m") of the configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::config {

std::optional<uint64_t> parse_size(std::string_view text);         // bytes
std::optional<uint32_t> parse_duration_ms(std::string_view text);  // milliseconds

}  // namespace bulkhead::config
