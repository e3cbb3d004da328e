// What hosts tell each other of changes: "HOST MICROSECONDS SLOT SLOT ...", or "*" for everything.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cache {

struct Message {
  std::string host;      // the sender
  uint64_t sent_us = 0;  // since 1970, by the sender's clock
  bool all = false;
  std::vector<uint32_t> slots;

  std::string write() const;
  // Nothing where it is no such message: then anything may have changed.
  static std::optional<Message> read(std::string_view text);
};

// "SLOT SLOT ..."
std::string slot_list(std::span<const uint32_t> slots);
// False where it is no such list.
bool read_slots(std::string_view text, std::vector<uint32_t>* slots);

}  // namespace cache
