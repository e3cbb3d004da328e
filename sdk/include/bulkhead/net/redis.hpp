// bulkhead/net/redis.hpp - the words plugins have over hiredis; for those that link it.
//
//   std::string why;
//   const redis::Context context = redis::open(url, 1000, stop, &why);
//   const redis::Reply reply = redis::ask(context.get(), {"GET", key});
//   if (why = redis::refusal(context.get(), reply); why.empty()) use(redis::text(reply.get()));
//
// Blocking, from one thread a context, like hiredis itself.
#ifndef BULKHEAD_NET_REDIS_HPP
#define BULKHEAD_NET_REDIS_HPP

#include <hiredis/hiredis.h>
#include <sys/time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "bulkhead/net/redis_url.hpp"
#include "bulkhead/net/resolve.hpp"

namespace bulkhead::redis {

struct Close {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct Free {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Context = std::unique_ptr<redisContext, Close>;
using Reply = std::unique_ptr<redisReply, Free>;

inline timeval milliseconds(uint32_t ms) { return {ms / 1000, static_cast<suseconds_t>(ms % 1000) * 1000}; }

// "" for a reply that is neither string, status nor error.
inline std::string_view text(const redisReply* reply) {
  if (reply == nullptr ||
      (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS && reply->type != REDIS_REPLY_ERROR))
    return {};
  return {reply->str, static_cast<size_t>(reply->len)};
}

// False: context->errstr says why.
inline bool append(redisContext* context, const std::vector<std::string>& words) {
  std::vector<const char*> starts;
  std::vector<size_t> sizes;
  starts.reserve(words.size());
  sizes.reserve(words.size());
  for (const std::string& word : words) {
    starts.push_back(word.data());
    sizes.push_back(word.size());
  }
  return redisAppendCommandArgv(context, static_cast<int>(words.size()), starts.data(), sizes.data()) == REDIS_OK;
}

// Null: context->errstr says why.
inline Reply read(redisContext* context) {
  void* reply = nullptr;
  if (redisGetReply(context, &reply) != REDIS_OK) reply = nullptr;
  return Reply(static_cast<redisReply*>(reply));
}

inline Reply ask(redisContext* context, const std::vector<std::string>& words) {
  return append(context, words) ? read(context) : nullptr;
}

// "" or what is wrong with an answer to ask().
inline std::string refusal(const redisContext* context, const Reply& reply) {
  if (!reply) return context->errstr;
  if (reply->type != REDIS_REPLY_ERROR) return {};
  return reply->len == 0 ? "an error without words" : std::string(text(reply.get()));
}

// Connected, logged in and on the database of the URL; null: *why says what is wrong. The timeout
// holds for finding the host and connecting, and for each thing asked afterwards; `stop` ends the
// wait for name servers.
inline Context open(const RedisUrl& url, uint32_t timeout_ms, const std::stop_token& stop, std::string* why) {
  const auto deadline = resolve::Clock::now() + std::chrono::milliseconds(timeout_ms);
  const resolve::Answer host = resolve::look_up(url.host)->await(deadline, stop);
  *why = host.why.empty() ? "" : url.host + ": " + host.why;
  Context context;
  auto left = static_cast<int64_t>(host.addresses.size());
  for (const std::string& address : host.addresses) {
    // One that swallows everything leaves time for those after it.
    const auto share = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - resolve::Clock::now()) / left--;
    const timeval timeout = milliseconds(static_cast<uint32_t>(std::max<int64_t>(share.count(), 1)));
    context.reset(redisConnectWithTimeout(address.c_str(), url.port, timeout));
    *why = !context ? "out of memory" : context->err != 0 ? context->errstr : "";
    if (why->empty()) break;
  }
  if (!why->empty()) return nullptr;
  redisSetTimeout(context.get(), milliseconds(timeout_ms));
  if (!url.password.empty()) {
    std::vector<std::string> words = {"AUTH"};
    if (!url.user.empty()) words.push_back(url.user);
    words.push_back(url.password);
    *why = refusal(context.get(), ask(context.get(), words));
  }
  if (why->empty() && url.database != 0)
    *why = refusal(context.get(), ask(context.get(), {"SELECT", std::to_string(url.database)}));
  if (!why->empty()) return nullptr;
  return context;
}

}  // namespace bulkhead::redis

#endif  // BULKHEAD_NET_REDIS_HPP
