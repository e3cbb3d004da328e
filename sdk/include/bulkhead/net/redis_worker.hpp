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
#include "bulkhead/net/redis_link.hpp"

namespace bulkhead::redis {

struct WorkerSettings {
  RedisUrl url;
  std::string thread;           // its name, at most 15 characters
  std::string_view script;      // Lua, loaded into each Redis; outlives the worker
  std::string channel = {};     // subscribed to, on a connection of its own; "": none
  uint32_t silence_ms = 2'000;  // while an answer is owed; then the connection is of no use
};

// Called on the worker's thread, all but `state` while it is connected.
struct WorkerEvents {
  // After connecting: what has to be so before the first command, asked of the blocking connection.
  // "" or why this Redis is of no use. `lost`: commands that must arrive did not.
  std::function<std::string(redisContext*, const std::string& script, bool lost)> greet = {};
  // Up, or down and why; each time, and while it is down for each new reason. `why` is "" where the
  // worker is told to stop.
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
  ~Worker() {
    stop();
    if (wake_ >= 0) ::close(wake_);
  }
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
  }

  // [any] In order: what is run after this returned sees what it did.
  void run(Command command) {
    Entry entry{std::move(command), host_.now_ns()};
    for (const std::string& word : entry.command.words) entry.bytes += word.size() + sizeof(std::string);
    bool first = false;
    std::optional<Entry> refused;
    {
      const std::lock_guard lock(mutex_);
      // What is stored leaves room for what is waited for.
      const size_t most = entry.command.done ? kMostBytes + kReserve : kMostBytes;
      const bool room = entry.command.must_arrive || (!stopping_.stop_requested() && bytes_ + entry.bytes <= most);
      if (up_ && room) {
        const size_t bytes = entry.bytes;
        first = queue_.empty();
        queue_.push_back(std::move(entry));
        bytes_ += bytes;
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
  static constexpr size_t kMostBytes = 8 * 1024 * 1024, kReserve = 1024 * 1024;  // of commands without their reply
  static constexpr uint32_t kConnectMs = 1'000, kFirstPauseMs = 50, kLastPauseMs = 1'000, kFlushMs = 1'000;

  struct Entry {
    Command command;
    uint64_t asked_ns;
    uint64_t sent_ns = 0;
    size_t bytes = 0;

    uint64_t due_ns() const {
      return command.done && command.timeout_ms != 0 && !command.must_arrive ? asked_ns + command.timeout_ms * kMs
                                                                             : UINT64_MAX;
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
        reported_.reset();
        if (events_.state) events_.state(true, {});
        const uint64_t began = host_.now_ns();
        why = serve();
        // One that greets well and then does not answer is no reason to hurry.
        if (host_.now_ns() - began > kLastPauseMs * kMs) pause = kFirstPauseMs;
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
    Context commands = open(settings_.url, kConnectMs, stop, &why);
    if (!commands) return why;
    Context messages;
    if (!settings_.channel.empty()) {
      messages = open(settings_.url, kConnectMs, stop, &why);
      if (!messages) return why;
      const Reply subscribed = ask(messages.get(), {"SUBSCRIBE", settings_.channel});
      if (why = refusal(messages.get(), subscribed); !why.empty()) return why;
    }
    const Reply loaded = ask(commands.get(), {"SCRIPT", "LOAD", std::string(settings_.script)});
    if (why = refusal(commands.get(), loaded); !why.empty()) return why;
    script_ = text(loaded.get());
    if (script_.size() != 40) return "it does not speak Redis";
    redisSetTimeout(commands.get(), milliseconds(std::min(kConnectMs, settings_.silence_ms)));
    if (why = greet(commands.get()); !why.empty()) return why;
    commands_ = Link(std::move(commands));
    if (messages) messages_ = Link(std::move(messages));
    answered_ns_ = heard_ns_ = beat_ns_ = host_.now_ns();
    due_ns_ = UINT64_MAX;
    return {};
  }

  // Up once no command was lost since the last greeting began.
  std::string greet(redisContext* context) {
    while (true) {
      bool lost = false;
      {
        const std::lock_guard lock(mutex_);
        lost = std::exchange(lost_, false);
      }
      std::string why = events_.greet ? events_.greet(context, script_, lost) : std::string();
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
      const bool over = stop_by != 0 && ((queue.empty() && sent_.empty()) || now > stop_by);
      const bool beat = stop_by == 0 && now - beat_ns_ >= kBeatNs;
      if (beat && events_.beat) queue.push_back({Command{.words = events_.beat(), .vital = true}, now});
      std::string why = send(std::move(queue), now);
      if (over) return why;
      if (beat) {
        beat_ns_ = now;
        if (why.empty() && messages_) why = messages_.append({"PING"});
      }
      if (why.empty()) why = commands_.write();
      if (why.empty() && messages_) why = messages_.write();
      if (why.empty()) why = late();
      if (!why.empty()) return why;
      pollfd fds[] = {{wake_, POLLIN, 0}, commands_.wanted(), messages_.wanted()};
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
    until = std::min(until, due_ns_);
    if (!sent_.empty()) until = std::min(until, owed_since() + settings_.silence_ms * kMs);
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
      if (why.empty()) why = commands_.append(words);
      entry.sent_ns = now;
      due_ns_ = std::min(due_ns_, entry.due_ns());
      sent_.push_back(std::move(entry));
    }
    return why;
  }

  // Commands that have waited enough do without. Not "" where the server has been silent for too
  // long.
  std::string late() {
    const uint64_t now_ns = host_.now_ns(), silence_ns = settings_.silence_ms * kMs;
    if (due_ns_ <= now_ns) {
      due_ns_ = UINT64_MAX;
      for (Entry& entry : sent_) {
        if (entry.due_ns() <= now_ns) entry.end(nullptr);
        due_ns_ = std::min(due_ns_, entry.due_ns());
      }
    }
    const bool replies = sent_.empty() || now_ns < owed_since() + silence_ns;
    const bool messages = !messages_ || now_ns - heard_ns_ < silence_ns;
    return replies && messages ? "" : "it does not answer";
  }

  // Since when the server owes the next answer.
  uint64_t owed_since() const { return std::max(sent_.front().sent_ns, answered_ns_); }

  std::string receive_replies() {
    return commands_.receive([this](const redisReply* reply) -> std::string {
      answered_ns_ = host_.now_ns();
      if (sent_.empty()) return "it answers what was not asked";
      Entry& first = sent_.front();
      const bool error = reply->type == REDIS_REPLY_ERROR;
      if (error && (first.command.vital || text(reply).starts_with("NOSCRIPT")))
        return reply->len == 0 ? "an error without words" : std::string(text(reply));
      Entry entry = std::move(first);
      sent_.pop_front();
      give_back(entry);
      entry.end(reply);
      return {};
    });
  }

  std::string receive_messages() {
    return messages_.receive([this](const redisReply* reply) -> std::string {
      heard_ns_ = host_.now_ns();
      if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2)
        return "it says what is no message: " + std::string(text(reply).substr(0, 100));
      if (reply->elements == 3 && text(reply->element[0]) == "message" && events_.message)
        events_.message(text(reply->element[2]));
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
    commands_ = Link();
    messages_ = Link();
    // Before the commands end: their callbacks then know that it is down.
    if (events_.state && (was_up || (!stopping && why != reported_))) events_.state(false, stopping ? "" : why);
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
  Link commands_, messages_;
  std::string script_;  // as Redis names it
  std::deque<Entry> sent_;
  uint64_t due_ns_ = UINT64_MAX;                           // no command of sent_ is due before
  uint64_t beat_ns_ = 0, answered_ns_ = 0, heard_ns_ = 0;  // heard_ns_: on the connection for messages
  std::optional<std::string> reported_;                    // why it is down, as told last
};

}  // namespace bulkhead::redis

#endif  // BULKHEAD_NET_REDIS_WORKER_HPP
