// Answers a cache may keep: a value that is read when the step begins and answered `delay`
// milliseconds later, with whatever fields the query asks for. PUT changes it and says so;
// /tagged/count tells how many reads came through.
#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/cache.hpp"
#include "bulkhead/text/percent.hpp"

using bulkhead::Exchange;
using bulkhead::Request;
using bulkhead::Response;

namespace {

std::string parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t ampersand = query.find('&');
    const std::string_view pair = query.substr(0, ampersand);
    std::string value;
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=') &&
        bulkhead::percent_decode(pair.substr(name.size() + 1), &value))
      return value;
    query.remove_prefix(ampersand == std::string_view::npos ? query.size() : ampersand + 1);
  }
  return {};
}

}  // namespace

class Tagged : public bulkhead::Plugin {
 public:
  Tagged(bulkhead::Host h, const bulkhead::Json&) : Plugin(h) {
    // As a limiter would: a field for this caller alone.
    hook(BH_ADMIT, [this](const Request& request) {
      const bh_pair mine = {bulkhead::to_str("x-caller"), bulkhead::to_str(request.header("x-caller"))};
      bh_reply change{};
      change.size = sizeof change;
      change.headers = &mine;
      change.header_count = 1;
      if (!request.header("x-caller").empty()) host().raw()->ex_edit(host().raw(), request.handle(), &change);
      return bh_flow{BH_NEXT};
    });
    get("/tagged/count", &Tagged::count);
    get("/tagged/{key}", &Tagged::read);
    put("/tagged/{key}", &Tagged::write);
  }
  void start() override { cache_ = bulkhead::CacheTags(host()); }
  void stop() override { cache_ = {}; }

 private:
  Response count(const Request&) { return bulkhead::text(200, std::to_string(reads_)); }

  void read(const Request& request, Exchange ex) {
    ++reads_;
    const std::string key(request.param("key"));
    auto answer = [this, ex, key, value = value_of(key), query = std::string(request.query())] {
      const std::string status = parameter(query, "status");
      Response response = bulkhead::text(status.empty() ? 200 : std::stoi(status), value);
      if (parameter(query, "tag") != "none") response.header("surrogate-key", "all " + key);
      for (const char* field : {"vary", "set-cookie", "cache-control", "content-encoding", "etag", "link", "expires"})
        if (const std::string wanted = parameter(query, field); !wanted.empty()) response.header(field, wanted);
      if (const std::string size = parameter(query, "size"); !size.empty())
        response.body(std::string(std::stoul(size), 'x'));
      ex.reply(std::move(response));
    };
    const std::string delay = parameter(request.query(), "delay");
    if (delay.empty()) return answer();
    using Answer = decltype(answer);
    auto* later = std::make_unique<Answer>(std::move(answer)).release();
    host().raw()->timer(
        host().raw(), std::stoul(delay), 0,
        [](void* arg) {
          const std::unique_ptr<Answer> mine(static_cast<Answer*>(arg));
          (*mine)();
        },
        later);
  }

  Response write(const Request& request) {
    const std::string key(request.param("key"));
    {
      const std::lock_guard lock(mutex_);
      values_[key] = request.body();
    }
    if (request.query() != "quietly") cache_.invalidate<1>({key});
    return Response(204);
  }

  std::string value_of(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto it = values_.find(key);
    return it == values_.end() ? "0" : it->second;
  }

  bulkhead::CacheTags cache_;
  std::atomic<uint64_t> reads_{0};
  std::mutex mutex_;
  std::map<std::string, std::string> values_;
};

constexpr bh_need kNeeds[] = {bulkhead::service(BH_CACHE_ID, BH_CACHE_VERSION, true)};
constexpr bh_str kGrants[] = {bulkhead::to_str("service:bh.cache")};

BULKHEAD_PLUGIN(Tagged, "tagged", "1.0.0", "Answers a cache may keep.", .needs = kNeeds, .grants = kGrants)
