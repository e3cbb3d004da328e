#include "shared.hpp"

#include <utility>

#include "ratelimit_embedded.hpp"

namespace ratelimit {

namespace redis = bulkhead::redis;

namespace {

constexpr size_t kPerItem = 4;

std::vector<Decision> decisions_of(const redisReply* reply) {
  std::vector<Decision> decisions;
  if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY || reply->elements % kPerItem != 0) return decisions;
  for (size_t i = 0; i < reply->elements; i += kPerItem) {
    int64_t values[kPerItem];
    for (size_t j = 0; j < kPerItem; ++j) {
      if (reply->element[i + j]->type != REDIS_REPLY_INTEGER) return {};
      values[j] = reply->element[i + j]->integer;
    }
    decisions.push_back({values[0] == 1, 0, values[1], values[2], values[3]});
  }
  return decisions;
}

}  // namespace

Shared::Shared(const bulkhead::Host& host, SharedSettings settings)
    : host_(host),
      settings_(std::move(settings)),
      // Requests wait for it: one that is silent for as long as a request may wait is down.
      worker_(host, {settings_.url, "bh-ratelimit", ratelimit_embedded::scripts_take_lua, {}, settings_.timeout_ms},
              // A replica or a full server takes the script, and refuses what it writes.
              {.greet =
                   [this](redisContext* context, const std::string& script, bool /*lost*/) {
                     const redis::Reply reply =
                         redis::ask(context, {"EVALSHA", script, "1", settings_.prefix + ":probe", "1000", "1000000"});
                     return redis::refusal(context, reply);
                   },
               .state = [this](bool up, const std::string& why) { tell(up, why); }}) {}

void Shared::take(const std::vector<Item>& items, Done done) {
  redis::Command command{.words = {std::to_string(items.size())},
                         .done = [done = std::move(done)](const redisReply* reply) { done(decisions_of(reply)); },
                         .timeout_ms = settings_.timeout_ms,
                         .vital = true};  // READONLY, OOM: another connection may be better
  for (const Item& item : items) command.words.push_back(settings_.prefix + item.key);
  for (const Item& item : items) {
    command.words.push_back(std::to_string(item.interval));
    command.words.push_back(std::to_string(item.burst));
  }
  worker_.run(std::move(command));
}

void Shared::tell(bool up, const std::string& why) {
  if (up)
    host_.info("limits are shared through Redis", {{"url", settings_.url.display}});
  else if (!why.empty())  // else it is told to stop
    host_.warn("limits are this host's own: Redis is down", {{"url", settings_.url.display}, {"reason", why}});
}

}  // namespace ratelimit
