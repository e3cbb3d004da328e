#include "second_level.hpp"

#include <charconv>
#include <utility>

#include "cache_embedded.hpp"

namespace cache {

using bulkhead::redis::ask;
using bulkhead::redis::refusal;
using bulkhead::redis::Reply;
using bulkhead::redis::text;

namespace {

// The answer to a get, if it is one.
Shared shared_of(const redisReply* reply) {
  Shared shared;
  if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) return shared;
  const std::string_view clock = text(reply->element[0]);
  std::from_chars(clock.data(), clock.data() + clock.size(), shared.clock);
  if (reply->elements == 3 && reply->element[1]->type == REDIS_REPLY_INTEGER && reply->element[1]->integer > 0) {
    shared.ttl_ms = static_cast<uint64_t>(reply->element[1]->integer);
    shared.data = text(reply->element[2]);
  }
  return shared;
}

}  // namespace

SecondLevel::SecondLevel(const bulkhead::Host& host, SecondLevelSettings settings, Listener listener)
    : host_(host),
      settings_(std::move(settings)),
      listener_(std::move(listener)),
      clock_key_(settings_.prefix + ":clock"),
      channel_(settings_.prefix + ":changed"),
      answers_(settings_.prefix + ":" + settings_.version + ":"),
      worker_(host, {settings_.url, "bh-redis", cache_embedded::scripts_level_lua, channel_},
              {.greet = [this](auto... with) { return hello(with...); },
               .state = [this](bool up, const std::string& why) { tell(up, why); },
               .message = listener_.told,
               // Fails where a change could not be told, by whomever: nothing is true then.
               .beat =
                   [this] {
                     return std::vector<std::string>{"1", clock_key_, "beat", std::to_string(host_.now_ns())};
                   }}) {}

void SecondLevel::get(const std::string& key, Done done) {
  worker_.run({.words = {"2", clock_key_, answers_ + key, "get"},
               .done = [done = std::move(done)](const redisReply* reply) { done(shared_of(reply)); },
               .timeout_ms = settings_.timeout_ms});
}

void SecondLevel::set(const std::string& key, uint64_t began, const std::string& slots, uint64_t ttl_ms,
                      std::string data) {
  worker_.run({.words = {"2", clock_key_, answers_ + key, "set", std::to_string(began), slots, std::to_string(ttl_ms),
                         std::move(data)}});
}

void SecondLevel::changed(const std::string& slots, const std::string& message) {
  worker_.run({.words = {"1", clock_key_, "changed", slots, channel_, message}, .vital = true, .must_arrive = true});
}

// ---------------------------------------------------------------- its thread

// Says whether changes were missed, on either side.
std::string SecondLevel::hello(redisContext* context, const std::string& script, bool missed) {
  const Reply info = ask(context, {"INFO", "server"});
  if (std::string wrong = refusal(context, info); !wrong.empty()) return wrong;
  const std::string_view all = text(info.get());
  static constexpr std::string_view kRun = "run_id:";
  const size_t at = all.find(kRun);
  if (at == std::string_view::npos) return "it does not say its run_id";
  const std::string run(all.substr(at + kRun.size(), all.find_first_of("\r\n", at) - at - kRun.size()));
  const Reply reply = ask(context, {"EVALSHA", script, "1", clock_key_, "hello", run, missed ? "1" : "0", channel_,
                                    listener_.all_changed()});
  return refusal(context, reply);
}

void SecondLevel::tell(bool up, const std::string& why) {
  if (up)
    host_.info("redis ready", {{"url", settings_.url.display}});
  else if (!why.empty())  // else it is told to stop
    host_.warn("redis down", {{"url", settings_.url.display}, {"reason", why}});
  if (std::exchange(up_, up) != up) listener_.state(up);
}

}  // namespace cache
