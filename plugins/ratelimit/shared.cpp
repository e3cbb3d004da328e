#include "shared.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "ratelimit_embedded.hpp"

namespace ratelimit {

namespace redis = bulkhead::redis;

namespace {

constexpr uint32_t kConnectMs = 1'000, kFirstPauseMs = 50, kLastPauseMs = 1'000;
constexpr size_t kMostQueued = 10'000;
constexpr size_t kPerItem = 4;

std::vector<Decision> decisions_of(const redisReply& reply) {
  std::vector<Decision> decisions;
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements % kPerItem != 0) return decisions;
  for (size_t i = 0; i < reply.elements; i += kPerItem) {
    int64_t values[kPerItem];
    for (size_t j = 0; j < kPerItem; ++j) {
      if (reply.element[i + j]->type != REDIS_REPLY_INTEGER) return {};
      values[j] = reply.element[i + j]->integer;
    }
    decisions.push_back({values[0] == 1, 0, values[1], values[2], values[3]});
  }
  return decisions;
}

}  // namespace

Shared::Shared(const bulkhead::Host& host, SharedSettings settings) : host_(host), settings_(std::move(settings)) {}

void Shared::start() {
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "bh-ratelimit");
}

void Shared::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_.request_stop();
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Shared::take(const std::vector<Item>& items, Done done) {
  Call call{{"EVALSHA", "", std::to_string(items.size())},
            std::move(done),
            host_.now_ns() + uint64_t{settings_.timeout_ms} * 1'000'000};
  for (const Item& item : items) call.words.push_back(item.key);
  for (const Item& item : items) {
    call.words.push_back(std::to_string(item.interval));
    call.words.push_back(std::to_string(item.burst));
  }
  {
    const std::lock_guard lock(mutex_);
    if (up_ && !stopping_.stop_requested() && queue_.size() < kMostQueued) {
      call.words[1] = script_;
      queue_.push_back(std::exchange(call, {}));
    }
  }
  if (call.done)
    call.done({});
  else
    changed_.notify_one();
}

// ---------------------------------------------------------------- its thread

std::string Shared::connect() {
  std::string why;
  redis::Context context = redis::open(settings_.url, kConnectMs, stopping_.get_token(), &why);
  if (!context) return why;
  const redis::Reply loaded =
      redis::ask(context.get(), {"SCRIPT", "LOAD", std::string(ratelimit_embedded::scripts_take_lua)});
  if (why = redis::refusal(context.get(), loaded); !why.empty()) return why;
  std::string script(redis::text(loaded.get()));
  if (script.empty()) return "it does not speak Redis";
  context_ = std::move(context);
  redisSetTimeout(context_.get(), redis::milliseconds(settings_.timeout_ms));
  const std::lock_guard lock(mutex_);
  script_ = std::move(script);
  up_ = true;
  return {};
}

bool Shared::exchange(std::deque<Call>* calls, std::string* why) {
  // One deadline for all: an answer that trickles in gets no more time.
  const uint64_t now = host_.now_ns(), deadline = now + uint64_t{settings_.timeout_ms} * 1'000'000;
  std::vector<bool> sent;
  bool good = true;
  for (const Call& call : *calls) {
    sent.push_back(good && now < call.deadline_ns);
    if (sent.back()) good = redis::append(context_.get(), call.words);
  }
  size_t i = 0;
  while (!calls->empty()) {
    Call call = std::move(calls->front());
    calls->pop_front();
    std::vector<Decision> decisions;
    if (good && sent[i++]) {
      const uint64_t left = deadline > host_.now_ns() ? deadline - host_.now_ns() : 0;
      redisSetTimeout(context_.get(), redis::milliseconds(static_cast<uint32_t>(left / 1'000'000 + 1)));
      const redis::Reply reply = redis::read(context_.get());
      good = reply != nullptr;
      if (!good) *why = context_->errstr;
      if (good && reply->type == REDIS_REPLY_ERROR) {  // NOSCRIPT after a flush, LOADING, READONLY: connect anew
        *why = redis::text(reply.get());
        good = false;
      }
      if (good) decisions = decisions_of(*reply);
    }
    call.done(decisions);
  }
  return good;
}

bool Shared::pause(uint32_t ms) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return stopping_.stop_requested(); });
}

void Shared::tell(bool up, const std::string& why) {
  if (up)
    host_.info("limits are shared through Redis", {{"url", settings_.url.display}});
  else
    host_.warn("limits are this host's own: Redis is down", {{"url", settings_.url.display}, {"reason", why}});
}

void Shared::run() {
  uint32_t next_pause = kFirstPauseMs;
  bool down = true, first = true;  // down: not known to answer
  while (true) {
    std::string why = connect();
    if (why.empty()) {
      for (bool good = true; good;) {
        std::deque<Call> calls;
        {
          std::unique_lock lock(mutex_);
          changed_.wait(lock, [this] { return stopping_.stop_requested() || !queue_.empty(); });
          if (stopping_.stop_requested() && queue_.empty()) return;
          calls.swap(queue_);
        }
        good = exchange(&calls, &why);
        if (!good || !std::exchange(down, false)) continue;
        tell(true, why);  // it has done what it is for, not only taken a connection
        next_pause = kFirstPauseMs;
      }
    }
    std::deque<Call> left;
    {
      const std::lock_guard lock(mutex_);
      up_ = false;
      left.swap(queue_);
    }
    for (Call& call : left) call.done({});
    if (!std::exchange(down, true) || std::exchange(first, false)) tell(false, why);
    if (!pause(next_pause)) return;
    next_pause = std::min(next_pause * 2, kLastPauseMs);
  }
}

}  // namespace ratelimit
