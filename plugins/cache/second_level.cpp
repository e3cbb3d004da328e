#include "second_level.hpp"

#include <fcntl.h>
#include <hiredis/sds.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "cache_embedded.hpp"
#include "digest.hpp"

namespace cache {

using bulkhead::redis::append;
using bulkhead::redis::ask;
using bulkhead::redis::Context;
using bulkhead::redis::refusal;
using bulkhead::redis::Reply;
using bulkhead::redis::text;

namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kPing = 500 * kMs, kSilence = 2000 * kMs;
constexpr size_t kMostQueued = 8 * 1024 * 1024;  // bytes of answers on their way; more are not stored
constexpr uint32_t kConnectMs = 1000, kFirstPauseMs = 50, kLastPauseMs = 1000, kFlushMs = 1000;

// The answer to a get, if it is one.
Shared shared_of(const redisReply* reply) {
  Shared shared;
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) return shared;
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
      script_(digest_hex(Digest::kSha1, cache_embedded::scripts_level_lua)) {}

void SecondLevel::start() {
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) throw bulkhead::Failure(BH_E_INTERNAL, "no descriptor for waking the thread of Redis");
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "bh-redis");
}

void SecondLevel::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_.request_stop();
  }
  ::eventfd_write(wake_, 1);
  thread_.join();
  ::close(wake_);
}

void SecondLevel::push(Command command) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    const size_t bytes = command.kind == Kind::kSet ? command.words.back().size() : 0;
    if (!up_ || (stopping_.stop_requested() && command.kind == Kind::kGet) ||
        (bytes != 0 && queued_bytes_ + bytes > kMostQueued)) {
      missed_ = missed_ || command.kind == Kind::kChanged;
    } else {
      queued_bytes_ += bytes;
      first = queue_.empty();
      queue_.push_back(std::exchange(command, {}));
    }
  }
  if (first) ::eventfd_write(wake_, 1);
  if (command.done) command.done({});
}

void SecondLevel::get(const std::string& key, Done done) {
  push({Kind::kGet, {"EVALSHA", script_, "2", clock_key_, answers_ + key, "get"}, std::move(done)});
}

void SecondLevel::set(const std::string& key, uint64_t began, const std::string& slots, uint64_t ttl_ms,
                      std::string data) {
  push({Kind::kSet,
        {"EVALSHA", script_, "2", clock_key_, answers_ + key, "set", std::to_string(began), slots,
         std::to_string(ttl_ms), std::move(data)}});
}

void SecondLevel::changed(const std::string& slots, const std::string& message) {
  push({Kind::kChanged, {"EVALSHA", script_, "1", clock_key_, "changed", slots, channel_, message}});
}

void SecondLevel::missed() {
  const std::lock_guard lock(mutex_);
  missed_ = true;
}

// ---------------------------------------------------------------- its thread

void SecondLevel::wait(uint32_t ms) {
  pollfd wake{wake_, POLLIN, 0};
  ::poll(&wake, 1, static_cast<int>(ms));
  eventfd_t ignored = 0;
  ::eventfd_read(wake_, &ignored);
}

void SecondLevel::run() {
  uint32_t pause = kFirstPauseMs;
  uint64_t stop_by = 0;
  while (true) {
    // What has to be told yet may take a moment.
    why_ = connect(stop_by == 0 ? stopping_.get_token() : std::stop_token());
    if (why_.empty()) {
      pause = kFirstPauseMs;
      if (reported_ != why_) host_.info("redis ready", {{"url", settings_.url.display}});
      reported_.clear();
      serve();
    }
    fail(why_);
    {
      const std::lock_guard lock(mutex_);
      if (stopping_.stop_requested() && stop_by == 0) stop_by = host_.now_ns() + kFlushMs * kMs;
      if (stopping_.stop_requested() && (!missed_ || host_.now_ns() > stop_by)) return;
    }
    wait(pause);
    pause = std::min(pause * 2, kLastPauseMs);
  }
}

// Says whether changes were missed, on either side.
std::string SecondLevel::hello(redisContext* commands) {
  const Reply info = ask(commands, {"INFO", "server"});
  if (std::string wrong = refusal(commands, info); !wrong.empty()) return wrong;
  const std::string_view all = text(info.get());
  static constexpr std::string_view kRun = "run_id:";
  const size_t at = all.find(kRun);
  if (at == std::string_view::npos) return "it does not say its run_id";
  const std::string run(all.substr(at + kRun.size(), all.find_first_of("\r\n", at) - at - kRun.size()));
  while (true) {
    bool missed = false;
    {
      const std::lock_guard lock(mutex_);
      missed = std::exchange(missed_, false);
    }
    const Reply reply = ask(commands, {"EVALSHA", script_, "1", clock_key_, "hello", run, missed ? "1" : "0", channel_,
                                       listener_.all_changed()});
    std::string wrong = refusal(commands, reply);
    const std::lock_guard lock(mutex_);
    if (!wrong.empty()) {
      missed_ = missed_ || missed;
      return wrong;
    }
    if (missed_) continue;  // one more, while this was said
    up_ = true;
    return {};
  }
}

std::string SecondLevel::connect(const std::stop_token& stop) {
  std::string wrong;
  Context commands = bulkhead::redis::open(settings_.url, kConnectMs, stop, &wrong);
  Context messages = commands ? bulkhead::redis::open(settings_.url, kConnectMs, stop, &wrong) : nullptr;
  if (!messages) return wrong;
  const Reply subscribed = ask(messages.get(), {"SUBSCRIBE", channel_});
  if (wrong = refusal(messages.get(), subscribed); !wrong.empty()) return wrong;
  const Reply loaded = ask(commands.get(), {"SCRIPT", "LOAD", std::string(cache_embedded::scripts_level_lua)});
  if (wrong = refusal(commands.get(), loaded); !wrong.empty()) return wrong;
  if (text(loaded.get()) != script_) return "it gives the script another name";
  if (wrong = hello(commands.get()); !wrong.empty()) return wrong;
  commands_ = std::move(commands);
  messages_ = std::move(messages);
  for (redisContext* context : {commands_.get(), messages_.get()}) {
    context->flags &= ~REDIS_BLOCK;
    ::fcntl(context->fd, F_SETFL, ::fcntl(context->fd, F_GETFL) | O_NONBLOCK);
  }
  heard_ns_ = pinged_ns_ = host_.now_ns();
  listener_.state(true);
  return {};
}

void SecondLevel::serve() {
  uint64_t stop_by = 0;
  while (true) {
    std::vector<Command> queue;
    {
      const std::lock_guard lock(mutex_);
      queue.swap(queue_);
      if (stopping_.stop_requested() && stop_by == 0) stop_by = host_.now_ns() + kFlushMs * kMs;
    }
    const uint64_t now = host_.now_ns();
    if (stop_by != 0 && ((queue.empty() && sent_.empty()) || now > stop_by)) return;
    if (now - pinged_ns_ >= kPing && stop_by == 0) {
      if (!append(messages_.get(), {"PING"})) return;
      queue.push_back({Kind::kBeat, {"EVALSHA", script_, "1", clock_key_, "beat", std::to_string(now)}});
      pinged_ns_ = now;
    }
    if (!send(std::move(queue)) || !write(commands_.get()) || !write(messages_.get()) || late()) return;
    const auto wanted = [](const Context& context) {
      return static_cast<short>(sdslen(context->obuf) != 0 ? POLLIN | POLLOUT : POLLIN);
    };
    pollfd fds[] = {{wake_, POLLIN, 0}, {commands_->fd, wanted(commands_), 0}, {messages_->fd, wanted(messages_), 0}};
    ::poll(fds, 3, patience_ms());
    eventfd_t ignored = 0;
    if (fds[0].revents != 0) ::eventfd_read(wake_, &ignored);
    if ((fds[2].revents & ~POLLOUT) != 0 && !receive_told()) return;
    if ((fds[1].revents & ~POLLOUT) != 0 && !receive()) return;
  }
}

int SecondLevel::patience_ms() const {
  const uint64_t now_ns = host_.now_ns();
  uint64_t until = pinged_ns_ + kPing;
  for (const Command& command : sent_) {
    if (!command.done) continue;
    until = std::min(until, command.sent_ns + settings_.timeout_ms * kMs);
    break;
  }
  return until <= now_ns ? 1 : static_cast<int>((until - now_ns) / kMs) + 1;
}

bool SecondLevel::send(std::vector<Command> commands) {
  const uint64_t now = host_.now_ns();
  size_t stored_bytes = 0;
  for (Command& command : commands) {
    const bool appended = append(commands_.get(), command.words);
    if (command.kind == Kind::kSet) stored_bytes += command.words.back().size();
    command.sent_ns = now;
    command.words.clear();
    sent_.push_back(std::move(command));
    if (!appended) {
      why_ = commands_->errstr;
      return false;
    }
  }
  const std::lock_guard lock(mutex_);
  queued_bytes_ -= stored_bytes;
  return true;
}

// As much as the socket takes.
bool SecondLevel::write(redisContext* context) {
  int all = 0;
  if (redisBufferWrite(context, &all) == REDIS_OK) return true;
  why_ = context->errstr;
  return false;
}

// Gets that have waited enough do without. True where the server has been silent for too long.
bool SecondLevel::late() {
  const uint64_t now_ns = host_.now_ns();
  for (Command& command : sent_) {
    if (!command.done) continue;
    if (now_ns - command.sent_ns < settings_.timeout_ms * kMs) break;
    std::exchange(command.done, {})({});
  }
  if ((sent_.empty() || now_ns - sent_.front().sent_ns < kSilence) && now_ns - heard_ns_ < kSilence) return false;
  why_ = "it does not answer";
  return true;
}

bool SecondLevel::receive() {
  if (redisBufferRead(commands_.get()) != REDIS_OK) {
    why_ = commands_->errstr;
    return false;
  }
  while (true) {
    void* raw = nullptr;
    if (redisGetReplyFromReader(commands_.get(), &raw) != REDIS_OK) {
      why_ = commands_->errstr;
      return false;
    }
    if (raw == nullptr) return true;
    const Reply reply(static_cast<redisReply*>(raw));
    if (sent_.empty()) {
      why_ = "it answers what was not asked";
      return false;
    }
    const bool error = reply->type == REDIS_REPLY_ERROR;
    // A get or set may fail alone, on what is stored there. Where a change cannot be told, by
    // whomever, nothing is true.
    const Kind kind = sent_.front().kind;
    if (error && (kind == Kind::kChanged || kind == Kind::kBeat || text(reply.get()).starts_with("NOSCRIPT"))) {
      why_ = text(reply.get());
      return false;
    }
    const Command command = std::move(sent_.front());
    sent_.pop_front();
    if (command.done) command.done(error ? Shared{} : shared_of(reply.get()));
  }
}

bool SecondLevel::receive_told() {
  if (redisBufferRead(messages_.get()) != REDIS_OK) {
    why_ = messages_->errstr;
    return false;
  }
  while (true) {
    void* raw = nullptr;
    if (redisGetReplyFromReader(messages_.get(), &raw) != REDIS_OK) {
      why_ = messages_->errstr;
      return false;
    }
    if (raw == nullptr) return true;
    const Reply reply(static_cast<redisReply*>(raw));
    heard_ns_ = host_.now_ns();
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2) {
      why_ = "it says what is no message: " + std::string(text(reply.get()).substr(0, 100));
      return false;
    }
    if (reply->elements == 3 && text(reply->element[0]) == "message") listener_.told(text(reply->element[2]));
  }
}

void SecondLevel::fail(const std::string& why) {
  std::vector<Command> queue;
  bool was_up = false, stopping = false;
  {
    const std::lock_guard lock(mutex_);
    was_up = std::exchange(up_, false);
    stopping = stopping_.stop_requested();
    queue.swap(queue_);
    queued_bytes_ = 0;
    for (const Command& command : queue) missed_ = missed_ || command.kind == Kind::kChanged;
    for (const Command& command : sent_) missed_ = missed_ || command.kind == Kind::kChanged;
  }
  if (was_up) listener_.state(false);
  commands_.reset();
  messages_.reset();
  for (Command& command : sent_)
    if (command.done) command.done({});
  sent_.clear();
  for (Command& command : queue)
    if (command.done) command.done({});
  if (stopping || why == reported_) return;
  host_.warn("redis down", {{"url", settings_.url.display}, {"reason", why}});
  reported_ = why;
}

}  // namespace cache
