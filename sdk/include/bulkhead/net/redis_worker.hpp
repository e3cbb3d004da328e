// bulkhead/net/redis_worker.hpp - a thread that runs one script on a Redis, for all threads of a
// plugin; for those that link hiredis.
//
//   redis::Worker worker(host, {.url = url, .thread = "bh-visits", .script = script}, events);
//   worker.start();
//   worker.run({.words = {"1", key, "visit"}, .done = on_reply, .timeout_ms = 50});
//
// Commands go out in order, those that came together in one write. While Redis is away, slow or
// talks nonsense the worker is down: Redis is not asked, every command ends at once without a
// reply, and connecting is tried again with growing pauses.
#ifndef BULKHEAD_NET_REDIS_WORKER_HPP
#define BULKHEAD_NET_REDIS_WORKER_HPP

#include <fcntl.h>
#include <hiredis/sds.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bulkhead/host.hpp"
#include "bulkhead/net/redis.hpp"

namespace bulkhead::redis {

struct WorkerSettings {
  RedisUrl url;
  std::string thread;           // its name, at most 15 characters
  std::string_view script;      // Lua, loaded into each Redis; outlives the worker
  std::string channel = {};     // subscribed to, on a connection of its own; "": none
  uint32_t silence_ms = 2'000;  // without an answer; then the connection is of no use
};

// Called on the worker's thread, all but `state` while it is connected.
struct WorkerEvents {
  // After connecting: what has to be so before the first command, asked of the blocking connection.
  // "" or why this Redis is of no use. `lost`: commands that must arrive did not.
  std::function<std::string(redisContext*, const std::string& script, bool lost)> greet = {};
  // Up, or down and why; each time, and while it is down for each new reason.
  std::function<void(bool up, const std::string& why)> state = {};
  // A message of the channel.
  std::function<void(std::string_view)> message = {};
  // Words of a command that proves twice a second that Redis does its work.
  std::function<std::vector<std::string>()> beat = {};
};

struct Command {
  std::vector<std::string> words;  // of EVALSHA, behind the script
  // Once, with the reply or null where there is none; on the worker's thread, or inside run().
  std::function<void(const redisReply*)> done = {};
  uint32_t timeout_ms = 0;   // since run(); 0: as long as the connection is of use
  bool vital = false;        // an error ends the connection
  bool must_arrive = false;  // also while stopping; where it did not, the next greeting is told so
};

class Worker {
 public:
  Worker(const Host& host, WorkerSettings settings, WorkerEvents events)
      : host_(host), settings_(std::move(settings)), events_(std::move(events)) {}
  ~Worker() { stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start() {
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_ < 0) throw Failure(BH_E_INTERNAL, "no descriptor for waking the thread of Redis");
    thread_ = std::thread([this] { work(); });
    pthread_setname_np(thread_.native_handle(), settings_.thread.c_str());
  }
  // Sends what must arrive for a moment yet, then joins. Every `done` has been called.
  void stop() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_.request_stop();
    }
    ::eventfd_write(wake_, 1);
    thread_.join();
    ::close(wake_);
  }

  // [any] In order: what is run after this returned sees what it did.
  void run(Command command) {
    Entry entry{std::move(command), host_.now_ns()};
    for (const std::string& word : entry.command.words) entry.bytes += word.size() + sizeof word;
    bool first = false;
    std::optional<Entry> refused;
    {
      const std::lock_guard lock(mutex_);
      const bool room =
          entry.command.must_arrive || (!stopping_.stop_requested() && bytes_ + entry.bytes <= kMostBytes);
      if (up_ && room) {
        bytes_ += entry.bytes;
        first = queue_.empty();
        queue_.push_back(std::move(entry));
      } else {
        lost_ = lost_ || entry.command.must_arrive;
        refused = std::move(entry);
      }
    }
    if (first) ::eventfd_write(wake_, 1);
    if (refused) refused->end(nullptr);
  }
  // [any] The same as a command lost that must arrive.
  void lose() {
    const std::lock_guard lock(mutex_);
    lost_ = true;
  }

 private:
  static constexpr uint64_t kMs = 1'000'000, kBeatNs = 500 * kMs;
  static constexpr size_t kMostBytes = 8 * 1024 * 1024;  // of commands without their reply
  static constexpr uint32_t kConnectMs = 1'000, kFirstPauseMs = 50, kLastPauseMs = 1'000, kFlushMs = 1'000;

  struct Entry {
    Command command;
    uint64_t asked_ns;
    uint64_t sent_ns = 0;
    size_t bytes = 0;

    uint64_t due_ns() const {
      return command.done && command.timeout_ms != 0 ? asked_ns + command.timeout_ms * kMs : UINT64_MAX;
    }
    void end(const redisReply* reply) {
      if (command.done) std::exchange(command.done, {})(reply);
    }
  };

  void work() {
    uint32_t pause = kFirstPauseMs;
    uint64_t stop_by = 0;
    while (true) {
      // What must arrive yet may take a moment.
      std::string why = connect(stop_by == 0 ? stopping_.get_token() : std::stop_token());
      if (why.empty()) {
        pause = kFirstPauseMs;
        reported_.reset();
        events_.state(true, {});
        why = serve();
      }
      fail(why);
      {
        const std::lock_guard lock(mutex_);
        if (stopping_.stop_requested()) {
          if (stop_by == 0) stop_by = host_.now_ns() + kFlushMs * kMs;
          if (!lost_ || host_.now_ns() > stop_by) return;
        }
      }
      wait(pause);
      pause = std::min(pause * 2, kLastPauseMs);
    }
  }

  void wait(uint32_t ms) {
    pollfd wake{wake_, POLLIN, 0};
    ::poll(&wake, 1, static_cast<int>(ms));
    eventfd_t ignored = 0;
    ::eventfd_read(wake_, &ignored);
  }

  std::string connect(const std::stop_token& stop) {
    std::string why;
    commands_ = open(settings_.url, kConnectMs, stop, &why);
    if (!commands_) return why;
    if (!settings_.channel.empty()) {
      messages_ = open(settings_.url, kConnectMs, stop, &why);
      if (!messages_) return why;
      const Reply subscribed = ask(messages_.get(), {"SUBSCRIBE", settings_.channel});
      if (why = refusal(messages_.get(), subscribed); !why.empty()) return why;
    }
    const Reply loaded = ask(commands_.get(), {"SCRIPT", "LOAD", std::string(settings_.script)});
    if (why = refusal(commands_.get(), loaded); !why.empty()) return why;
    script_ = text(loaded.get());
    if (script_.size() != 40) return "it does not speak Redis";
    if (why = greet(); !why.empty()) return why;
    for (redisContext* context : {commands_.get(), messages_.get()}) {
      if (context == nullptr) continue;
      context->flags &= ~REDIS_BLOCK;
      ::fcntl(context->fd, F_SETFL, ::fcntl(context->fd, F_GETFL) | O_NONBLOCK);
    }
    heard_ns_ = beat_ns_ = host_.now_ns();
    return {};
  }

  // Up once no command was lost since the last greeting began.
  std::string greet() {
    while (true) {
      bool lost = false;
      {
        const std::lock_guard lock(mutex_);
        lost = std::exchange(lost_, false);
      }
      std::string why = events_.greet ? events_.greet(commands_.get(), script_, lost) : std::string();
      const std::lock_guard lock(mutex_);
      if (!why.empty()) {
        lost_ = lost_ || lost;
        return why;
      }
      if (lost_) continue;
      up_ = true;
      return {};
    }
  }

  // Until the connection is of no use, and why; or until it is told to stop.
  std::string serve() {
    uint64_t stop_by = 0;
    while (true) {
      std::vector<Entry> queue;
      {
        const std::lock_guard lock(mutex_);
        queue.swap(queue_);
        if (stopping_.stop_requested() && stop_by == 0) stop_by = host_.now_ns() + kFlushMs * kMs;
      }
      const uint64_t now = host_.now_ns();
      if (stop_by != 0 && ((queue.empty() && sent_.empty()) || now > stop_by)) return {};
      if (stop_by == 0 && now - beat_ns_ >= kBeatNs) {
        beat_ns_ = now;
        if (messages_ && !append(messages_.get(), {"PING"})) return messages_->errstr;
        if (events_.beat) queue.push_back({Command{.words = events_.beat(), .vital = true}, now});
      }
      std::string why = send(std::move(queue), now);
      if (why.empty()) why = write(commands_.get());
      if (why.empty()) why = write(messages_.get());
      if (why.empty()) why = late();
      if (!why.empty()) return why;
      const auto wanted = [](const Context& context) {
        return static_cast<short>(sdslen(context->obuf) != 0 ? POLLIN | POLLOUT : POLLIN);
      };
      pollfd fds[] = {{wake_, POLLIN, 0}, {commands_->fd, wanted(commands_), 0}, {-1, 0, 0}};
      if (messages_) fds[2] = {messages_->fd, wanted(messages_), 0};
      ::poll(fds, 3, patience_ms());
      eventfd_t ignored = 0;
      if (fds[0].revents != 0) ::eventfd_read(wake_, &ignored);
      if ((fds[2].revents & ~POLLOUT) != 0) why = receive_messages();
      if (why.empty() && (fds[1].revents & ~POLLOUT) != 0) why = receive_replies();
      if (!why.empty()) return why;
    }
  }

  int patience_ms() const {
    const uint64_t now_ns = host_.now_ns();
    uint64_t until = events_.beat || messages_ ? beat_ns_ + kBeatNs : now_ns + 60'000 * kMs;
    if (!sent_.empty()) until = std::min(until, sent_.front().sent_ns + settings_.silence_ms * kMs);
    for (const Entry& entry : sent_) until = std::min(until, entry.due_ns());
    return until <= now_ns ? 1 : static_cast<int>((until - now_ns) / kMs) + 1;
  }

  std::string send(std::vector<Entry> queue, uint64_t now) {
    std::string why;
    for (Entry& entry : queue) {
      if (entry.due_ns() <= now) {
        give_back(entry);
        entry.end(nullptr);
        continue;
      }
      std::vector<std::string> words = {"EVALSHA", script_};
      for (std::string& word : std::exchange(entry.command.words, {})) words.push_back(std::move(word));
      if (why.empty() && !append(commands_.get(), words)) why = commands_->errstr;
      entry.sent_ns = now;
      sent_.push_back(std::move(entry));
    }
    return why;
  }

  // As much as the socket takes.
  static std::string write(redisContext* context) {
    int all = 0;
    return context == nullptr || redisBufferWrite(context, &all) == REDIS_OK ? std::string() : context->errstr;
  }

  // Commands that have waited enough do without. Not "" where the server has been silent for too
  // long.
  std::string late() {
    const uint64_t now_ns = host_.now_ns(), silence_ns = settings_.silence_ms * kMs;
    for (Entry& entry : sent_)
      if (entry.due_ns() <= now_ns) entry.end(nullptr);
    const bool replies = sent_.empty() || now_ns - sent_.front().sent_ns < silence_ns;
    const bool messages = !messages_ || now_ns - heard_ns_ < silence_ns;
    return replies && messages ? "" : "it does not answer";
  }

  // Gives what has arrived to `take`, reply by reply, until there is no more or it says what is
  // wrong.
  template <typename Take>
  static std::string receive(redisContext* context, Take take) {
    if (redisBufferRead(context) != REDIS_OK) return context->errstr;
    while (true) {
      void* raw = nullptr;
      if (redisGetReplyFromReader(context, &raw) != REDIS_OK) return context->errstr;
      if (raw == nullptr) return {};
      const Reply reply(static_cast<redisReply*>(raw));
      if (std::string why = take(reply.get()); !why.empty()) return why;
    }
  }

  std::string receive_replies() {
    return receive(commands_.get(), [this](const redisReply* reply) -> std::string {
      if (sent_.empty()) return "it answers what was not asked";
      Entry& first = sent_.front();
      const bool error = reply->type == REDIS_REPLY_ERROR;
      if (error && (first.command.vital || text(reply).starts_with("NOSCRIPT"))) return std::string(text(reply));
      Entry entry = std::move(first);
      sent_.pop_front();
      give_back(entry);
      entry.end(reply);
      return {};
    });
  }

  std::string receive_messages() {
    return receive(messages_.get(), [this](const redisReply* reply) -> std::string {
      heard_ns_ = host_.now_ns();
      if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2)
        return "it says what is no message: " + std::string(text(reply).substr(0, 100));
      if (reply->elements == 3 && text(reply->element[0]) == "message") events_.message(text(reply->element[2]));
      return {};
    });
  }

  void give_back(const Entry& entry) {
    const std::lock_guard lock(mutex_);
    bytes_ -= entry.bytes;
  }

  void fail(const std::string& why) {
    std::vector<Entry> queue;
    bool was_up = false, stopping = false;
    {
      const std::lock_guard lock(mutex_);
      was_up = std::exchange(up_, false);
      stopping = stopping_.stop_requested();
      queue.swap(queue_);
      bytes_ = 0;
      const auto matters = [](const Entry& entry) { return entry.command.must_arrive; };
      lost_ =
          lost_ || std::any_of(queue.begin(), queue.end(), matters) || std::any_of(sent_.begin(), sent_.end(), matters);
    }
    commands_.reset();
    messages_.reset();
    // Before the commands: whoever hears that there is no reply knows that it is down.
    if (was_up || (!stopping && why != reported_)) events_.state(false, why);
    reported_ = why;
    for (Entry& entry : sent_) entry.end(nullptr);
    sent_.clear();
    for (Entry& entry : queue) entry.end(nullptr);
  }

  const Host host_;
  const WorkerSettings settings_;
  const WorkerEvents events_;
  int wake_ = -1;  // eventfd
  std::thread thread_;

  std::mutex mutex_;
  std::vector<Entry> queue_;
  size_t bytes_ = 0;  // of queue_ and sent_
  bool up_ = false, lost_ = false;
  std::stop_source stopping_;  // requested under mutex_

  // The worker's own.
  Context commands_, messages_;
  std::string script_;  // as Redis names it
  std::deque<Entry> sent_;
  uint64_t beat_ns_ = 0, heard_ns_ = 0;  // heard_ns_: on the connection for messages
  std::optional<std::string> reported_;  // why it is down, as told last
};

}  // namespace bulkhead::redis

#endif  // BULKHEAD_NET_REDIS_WORKER_HPP
