// bulkhead/testing/local_host.hpp - the host itself for tests of a plugin, without sockets.
//
//   // The plugin linked into the test, or its file: LocalHost host("./people.so").
//   bulkhead::testing::LocalHost host(bh_plugin_v1());
//   host.create({{"greeting", "hi"}});
//   host.start();
//   auto answer = host.call({.method = "GET", .target = "/hello/you"});
//   EXPECT_EQ(answer.status, 200);
//
// It is the code that serves: schema checks and defaults, grants, routing, phases, scopes, limits,
// timeouts, late answers, executor, timers, services. What belongs to a connection is missing:
// sockets, chunked and compressed bodies, and the fields the host adds to an answer. Link
// Bulkhead::testing.
//
// The thread that made it is the I/O thread of every request: its steps run in call(), begin(),
// finish(), disconnect(), advance() and stop(), and these are for that thread alone. The plugin may
// answer from any.
#ifndef BULKHEAD_TESTING_LOCAL_HOST_HPP
#define BULKHEAD_TESTING_LOCAL_HOST_HPP

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/plugin.h"

namespace bulkhead::testing {

using Json = nlohmann::json;
using Headers = std::vector<std::pair<std::string, std::string>>;

// A request. Without a Host header it is sent to "test".
struct Call {
  std::string method = "GET", target = "/";
  Headers headers = {};
  std::string body = {};
  // What an auth plugin would have found out, where none is there: identity.subject and
  // identity.scopes. Routes check their scopes as in the host.
  std::string subject = {}, scopes = {};
};

struct Answer {
  int status = 0;   // 0: none came in time; 499: the caller left
  Headers headers;  // names in lower case
  std::string body;

  // The first of that name, or "".
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

class LocalHost {
 public:
  // The plugin under test: linked into the program, or a file.
  explicit LocalHost(const bh_plugin* plugin);
  explicit LocalHost(const std::string& file);
  ~LocalHost();
  LocalHost(const LocalHost&) = delete;
  LocalHost& operator=(const LocalHost&) = delete;

  // ---- what stands beside it. Before create().
  // Another plugin by its file, with its configuration.
  void add(const std::string& id, const std::string& file, const Json& config = Json::object());
  // A plugin that offers a service of the test's; `api` and `self` outlive this.
  void offer(const std::string& service, uint32_t version, const void* api, void* self);
  // A plugin that does nothing. Its health is the test's to say, once created.
  void add_peer(const std::string& id);
  void set_health(const std::string& peer, int32_t state, const std::string& why);

  // ---- life. They throw std::runtime_error with what the host would log.
  void create(const Json& config = Json::object());
  void start();
  // As after SIGTERM: told to the plugins that ask.
  void drain();
  // Ends what runs, then the plugins. The destructor does it too.
  void stop();

  // Moves the clock of the hosts in this process, and runs the timers that come due.
  void advance(uint64_t milliseconds);

  // ---- requests
  class Sent;  // one that runs
  // Sends one and waits for its answer, at most `patience` of real time.
  Answer call(const Call& made, std::chrono::milliseconds patience = std::chrono::seconds(5));
  std::shared_ptr<Sent> begin(const Call& made);
  Answer finish(const std::shared_ptr<Sent>& sent, std::chrono::milliseconds patience = std::chrono::seconds(5));
  // The caller hangs up: no answer is taken any more.
  void disconnect(const std::shared_ptr<Sent>& sent);

  // ---- what the plugins did. A plugin that is itself a sink of log, metrics or spans takes over.
  std::vector<LogEntry> logs() const;
  std::vector<Recorded> records() const;
  std::vector<SpanEntry> spans() const;
  // Of the plugin under test.
  int32_t health() const;
  std::string health_reason() const;
  std::vector<std::string> routes() const;  // "GET /people", ...
  // The service's table, or null; and the plugin under test, as its functions take it.
  const void* service(const std::string& id) const;
  void* self() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
  const std::string under_test_, file_;
};

}  // namespace bulkhead::testing

#endif  // BULKHEAD_TESTING_LOCAL_HOST_HPP
