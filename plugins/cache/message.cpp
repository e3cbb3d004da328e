#include "message.hpp"

#include <charconv>

#include "tag_clock.hpp"

namespace cache {

namespace {

std::string_view word(std::string_view* text) {
  const size_t space = text->find(' ');
  const std::string_view first = text->substr(0, space);
  text->remove_prefix(space == std::string_view::npos ? text->size() : space + 1);
  return first;
}

template <typename Number>
bool number(std::string_view text, Number* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string slot_list(std::span<const uint32_t> slots) {
  std::string text;
  for (const uint32_t slot : slots) (text += text.empty() ? "" : " ") += std::to_string(slot);
  return text;
}

bool read_slots(std::string_view text, std::vector<uint32_t>* slots) {
  while (!text.empty()) {
    uint32_t slot = 0;
    if (!number(word(&text), &slot) || slot >= TagClock::kSlots) return false;
    slots->push_back(slot);
  }
  return true;
}

std::string Message::write() const {
  return host + ' ' + std::to_string(sent_us) + ' ' + (all ? std::string("*") : slot_list(slots));
}

std::optional<Message> Message::read(std::string_view text) {
  Message message;
  message.host = word(&text);
  if (message.host.empty() || !number(word(&text), &message.sent_us) || text.empty()) return std::nullopt;
  if (text == "*") {
    message.all = true;
    return message;
  }
  if (!read_slots(text, &message.slots)) return std::nullopt;
  return message;
}

}  // namespace cache
