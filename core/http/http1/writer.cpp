#include "core/http/http1/writer.hpp"

#include <charconv>
#include <cstring>

#include "bulkhead/attributes.h"
#include "bulkhead/status.hpp"
#include "bulkhead/text/words.hpp"

namespace bulkhead::http::http1 {

namespace {

// Everything of a head but date, id and the answer's own fields.
constexpr size_t kFixed = 256;

bool sane(const bh_pair& field) {
  const std::string_view name = to_view(field.name), value = to_view(field.value);
  const auto breaks_name = [](uint64_t word) {
    return words::less(word, 0x21) | words::greater(word, 0x7e) | words::equal(word, ':');
  };
  const auto has_control = [](uint64_t word) { return words::less(word, 0x20); };
  if (name.empty() || !words::none(name, breaks_name)) return false;
  return words::none(value, has_control) ||
         value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

char* put(char* to, std::string_view text) {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

char* put_number(char* to, uint64_t value) { return std::to_chars(to, to + 20, value).ptr; }

}  // namespace

bool kept_back(std::string_view name) {
  return name == "content-length" || name == "transfer-encoding" || name == "connection" || name == "keep-alive" ||
         name == "date" || name == "x-request-id" || name == BH_HEADER_SURROGATE_KEY;
}

std::string_view write_head(chain::Run& run, bool keep_alive, std::string_view date, bool* dropped) {
  exchange::Answer& answer = run.answer;
  const std::string_view reason = reason_phrase(answer.status()), id = to_view(run.request.id);
  size_t size = kFixed + reason.size() + date.size() + id.size();
  for (const bh_pair& field : answer.headers()) size += field.name.len + field.value.len + 4;
  char* const begin = answer.allocate(size);
  char* to = put(begin, "HTTP/1.1 ");
  to = put_number(to, static_cast<uint64_t>(answer.status()));
  to = put(put(to, " "), reason);
  to = put(put(to, "\r\ndate: "), date);
  if (!bodiless(answer.status())) to = put_number(put(to, "\r\ncontent-length: "), answer.body().size());
  to = put(put(to, "\r\nx-request-id: "), id);
  for (const bh_pair& field : answer.headers()) {
    if (kept_back(to_view(field.name))) continue;
    if (!sane(field)) {
      *dropped = true;
      continue;
    }
    to = put(put(to, "\r\n"), to_view(field.name));
    to = put(put(to, ": "), to_view(field.value));
  }
  if (!keep_alive)
    to = put(to, "\r\nconnection: close");
  else if (run.request.http == 10)
    to = put(to, "\r\nconnection: keep-alive");
  to = put(to, "\r\n\r\n");
  return {begin, static_cast<size_t>(to - begin)};
}

}  // namespace bulkhead::http::http1
