#include "core/http/response.hpp"

#include <charconv>
#include <ctime>

#include "bulkhead/attributes.h"
#include "bulkhead/status.hpp"

namespace bulkhead::http {

std::string_view DateCache::now() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME_COARSE, &t);
  if (t.tv_sec != second_) {
    second_ = t.tv_sec;
    tm parts{};
    gmtime_r(&t.tv_sec, &parts);
    strftime(text_, sizeof text_, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  }
  return {text_, 29};
}

namespace {

void append_number(std::string& out, uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

// What the host says itself, and what is meant for a cache inside it.
bool kept_back(std::string_view name) {
  return name == "content-length" || name == "transfer-encoding" || name == "connection" || name == "keep-alive" ||
         name == "date" || name == "x-request-id" || name == BH_HEADER_SURROGATE_KEY;
}

bool sane(const bh_pair& field) {
  const std::string_view name = to_view(field.name), value = to_view(field.value);
  if (name.empty()) return false;
  for (const char c : name)
    if (static_cast<unsigned char>(c) <= 0x20 || c == ':' || static_cast<unsigned char>(c) >= 0x7f) return false;
  for (const char c : value)
    if (c == '\r' || c == '\n' || c == '\0') return false;
  return true;
}

}  // namespace

bool write_head(exchange::Exchange& ex, bool keep_alive, std::string_view date) {
  const exchange::Answer& answer = ex.outcome();
  std::string& out = ex.out_head;
  out.clear();
  out += "HTTP/1.1 ";
  append_number(out, static_cast<uint64_t>(answer.status));
  out += ' ';
  out += reason_phrase(answer.status);
  out += "\r\ndate: ";
  out += date;
  if (!bodiless(answer.status)) {
    out += "\r\ncontent-length: ";
    append_number(out, answer.body.size());
  }
  out += "\r\nx-request-id: ";
  out += to_view(ex.request.id);
  bool all = true;
  for (const bh_pair& field : answer.headers) {
    if (kept_back(to_view(field.name))) continue;
    if (!sane(field)) {
      all = false;
      continue;
    }
    out += "\r\n";
    out += to_view(field.name);
    out += ": ";
    out += to_view(field.value);
  }
  if (!keep_alive)
    out += "\r\nconnection: close";
  else if (ex.request.http == 10)
    out += "\r\nconnection: keep-alive";
  out += "\r\n\r\n";
  return all;
}

}  // namespace bulkhead::http
