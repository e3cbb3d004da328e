// bulkhead/testing/exchange.hpp - what a test sends through the fake host, and what it sees of the
// plugin.
#ifndef BULKHEAD_TESTING_EXCHANGE_HPP
#define BULKHEAD_TESTING_EXCHANGE_HPP

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/plugin.hpp"

namespace bulkhead::testing {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Call {
  std::string method = "GET", target = "/";
  Headers headers = {};
  std::string body = {};
};

struct Answer {
  int status = 0;  // 0: none came in time; 499: the caller left
  Headers headers;
  std::string body;

  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (key == name) return value;
    return {};
  }
  Json json() const { return Json::parse(body); }
};

struct LogEntry {
  int32_t level;
  std::string message;
  std::map<std::string, std::string> fields;
};

struct Recorded {
  std::string metric;
  std::vector<std::string> labels;
  double value;
};

struct SpanEntry {
  std::string name;
  std::map<std::string, std::string> tags;
  bool ended = false;
  bh_status outcome = BH_OK;
};

// One request in the fake host. What the plugin sees of it lives as long as this and the plugin's
// holds.
class FakeExchange {
 public:
  explicit FakeExchange(Call made) : call(std::move(made)) {}

  Call call;
  bh_request request{};
  std::deque<std::string> text;  // owns what the views show
  std::vector<bh_pair> headers, params;
  std::map<std::string, std::string> attributes;
  using Attached = std::unique_ptr<void, void (*)(void*)>;
  std::map<std::string, Attached> attached;
  std::vector<bh_reply> edits;
  std::vector<std::pair<void (*)(void*), void*>> on_end;
  std::mutex mutex;
  std::condition_variable changed;
  Answer answer;
  std::vector<bh_pair> answer_pairs;
  bool answered = false, gone = false, resumed = false;
  int holds = 0;
  uint32_t phase = 0;

  bh_str keep(std::string_view s) {
    text.emplace_back(s);
    return to_str(text.back());
  }
};

}  // namespace bulkhead::testing

#endif  // BULKHEAD_TESTING_EXCHANGE_HPP
