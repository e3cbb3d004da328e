// A connection's bytes through its parser, without a connection: heads and bodies in the order a
// connection reads them, in pieces of any size.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/exchange/home.hpp"
#include "core/exchange/request.hpp"
#include "core/http/http1/parser.hpp"

namespace fuzz {

class NoHome final : public bulkhead::exchange::Home {
 public:
  NoHome() : Home(0) {}
  void post(bulkhead::exchange::Exchange*) override {}
  bool on_thread() const override { return true; }
  void recycle(bulkhead::exchange::Exchange*) override {}
  bulkhead::runtime::DeadlineQueue& deadlines() override { return queue_; }
  void body_released(size_t) override {}
  void give_slab(bulkhead::runtime::SlabRef) override {}

 private:
  bulkhead::runtime::DeadlineQueue queue_;
};

struct Message {
  std::string method, target, path, query, authority, body;
  std::vector<std::pair<std::string, std::string>> fields;
  bool keep_alive = false;
  bool operator==(const Message&) const = default;
};

struct Messages {
  std::vector<Message> whole;
  int status = 0;           // of the refusal that ended it, 0 where there was none
  bool incomplete = false;  // more bytes would be needed
  bool operator==(const Messages&) const = default;
};

inline constexpr size_t kBodyLimit = 4096;

// `next` says how many bytes come with the next read.
inline Messages read_messages(std::string_view bytes, const std::function<size_t()>& next) {
  using bulkhead::to_view;
  using bulkhead::http::http1::RequestParser;
  static const bulkhead::http::Limits limits{.request_line = 512, .header = 1024, .header_fields = 16};
  Messages out;
  NoHome home;
  bulkhead::exchange::Request request;
  RequestParser parser(limits);
  std::string buffer;
  size_t begin = 0, arrived = 0;
  bool in_head = false, in_body = false;
  // True once it needs no more bytes, or cannot use them.
  const auto step = [&] {
    if (!in_body) {
      if (!in_head) begin += RequestParser::empty_lines(std::string_view(buffer).substr(begin));
      if (begin == buffer.size() || (!in_head && std::string_view(buffer).substr(begin) == "\r")) return true;
      in_head = true;
      size_t consumed = 0;
      const auto result = parser.parse_head(buffer.data() + begin, buffer.size() - begin, request, &consumed);
      if (result == RequestParser::Result::kMore) return true;
      if (result == RequestParser::Result::kError) {
        out.status = parser.status();
        return true;
      }
      begin += consumed;
      in_head = false;
      Message message{std::string(to_view(request.method)),
                      std::string(to_view(request.target)),
                      std::string(to_view(request.path)),
                      std::string(to_view(request.query)),
                      std::string(to_view(request.authority)),
                      "",
                      {},
                      parser.keep_alive()};
      for (const bh_pair& field : request.fields)
        message.fields.emplace_back(to_view(field.name), to_view(field.value));
      out.whole.push_back(std::move(message));
      in_body = true;
    }
    Message& message = out.whole.back();
    if (parser.chunked()) {
      if (begin == buffer.size()) return true;
      size_t used = 0;
      const auto result =
          parser.parse_chunked(buffer.data() + begin, buffer.size() - begin, kBodyLimit, &message.body, &used);
      begin += used;
      if (result == RequestParser::Result::kMore) return true;
      if (result == RequestParser::Result::kError) {
        out.status = parser.status();
        return true;
      }
    } else {
      if (parser.content_length() > kBodyLimit) {
        out.status = 413;
        return true;
      }
      const auto length = static_cast<size_t>(parser.content_length());
      if (buffer.size() - begin < length) return true;
      message.body = buffer.substr(begin, length);
      begin += length;
    }
    in_body = false;
    request.clear(home);
    parser.reset();
    return false;
  };
  while (out.status == 0 && arrived < bytes.size() && (out.whole.empty() || in_body || out.whole.back().keep_alive)) {
    const size_t count = std::clamp<size_t>(next(), 1, bytes.size() - arrived);
    buffer.append(bytes.substr(arrived, count));
    arrived += count;
    while (!step() && out.whole.back().keep_alive) {
    }
  }
  if (in_body) out.whole.pop_back();
  out.incomplete = out.status == 0 && (in_body || begin != buffer.size());
  return out;
}

}  // namespace fuzz
