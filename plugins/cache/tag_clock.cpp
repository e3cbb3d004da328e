#include "tag_clock.hpp"

namespace cache {

uint32_t TagClock::slot(std::string_view tag) {
  uint32_t hash = 2166136261u;
  for (const char c : tag) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return (hash ^ (hash >> 16)) % kSlots;
}

}  // namespace cache
