#include "core/config/units.hpp"

#include <charconv>
#include <utility>

namespace bulkhead::config {

namespace {

std::optional<std::pair<uint64_t, std::string_view>> split(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return std::pair(number, text);
}

std::optional<uint64_t> scaled(uint64_t number, uint64_t factor, uint64_t limit) {
  if (number > limit / factor) return std::nullopt;
  return number * factor;
}

}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  const auto parts = split(text);
  if (!parts) return std::nullopt;
  const auto [number, unit] = *parts;
  if (unit.empty() || unit == "B") return number;
  if (unit == "KiB") return scaled(number, 1024, UINT64_MAX);
  if (unit == "MiB") return scaled(number, 1024 * 1024, UINT64_MAX);
  if (unit == "GiB") return scaled(number, 1024 * 1024 * 1024, UINT64_MAX);
  return std::nullopt;
}

std::optional<uint32_t> parse_duration_ms(std::string_view text) {
  const auto parts = split(text);
  if (!parts) return std::nullopt;
  const auto [number, unit] = *parts;
  const uint64_t factor = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : unit == "h" ? 3'600'000 : 0;
  if (factor == 0) return std::nullopt;
  const auto value = scaled(number, factor, UINT32_MAX);
  if (!value) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

}  // namespace bulkhead::config
