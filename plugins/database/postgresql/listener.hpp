// Listener: PostgreSQL's LISTEN, on a connection and a thread of its own. Subscribers are told when
// the connection is lost and when it is back.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.h"
#include "session.hpp"

struct pg_conn;

namespace database {

class Listener {
 public:
  Listener(const bulkhead::Host& host, const SessionSettings& settings) : host_(host), settings_(settings) {}
  ~Listener() { stop(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // [any] The first one starts the thread.
  bh_status add(const bh_sql_listener& listener, bh_error* err);
  // No callback runs afterwards.
  void stop();

 private:
  struct Channel {
    std::string name;
    bh_sql_listener listener;
  };
  void run();
  // Until the connection breaks, and why; or "".
  std::string serve();
  bool ask(pg_conn* connection, const std::string& sql) const;
  void wait(int ms) const;

  const bulkhead::Host host_;
  const SessionSettings& settings_;
  std::mutex mutex_;
  std::vector<Channel> channels_;
  std::atomic<bool> stopping_{false}, again_{false};
  int wake_ = -1;  // eventfd
  std::thread thread_;
};

}  // namespace database
