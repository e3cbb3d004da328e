// NotifyBus: how hosts on one PostgreSQL tell each other of changes, by LISTEN and NOTIFY.
//
// Changes that come while a notification is on its way go out together with the next one. One that
// could not be sent is tried again until it can.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.hpp"

namespace cache {

class NotifyBus {
 public:
  struct Listener {  // on threads of the database plugin
    std::function<void(bool up)> state;
    std::function<void(std::string_view message)> told;
    std::function<std::string(std::span<const uint32_t> slots)> write;
  };
  // Throws Failure, with BH_E_UNSUPPORTED where the database has no notifications.
  NotifyBus(const bulkhead::Host& host, std::string channel, Listener listener);
  NotifyBus(const NotifyBus&) = delete;
  NotifyBus& operator=(const NotifyBus&) = delete;

  // [any]
  void changed(std::span<const uint32_t> slots);
  // Waits a moment for what has to be told yet.
  void flush();

 private:
  void send(std::unique_lock<std::mutex> lock);

  const bulkhead::Host host_;
  const std::string channel_;
  const Listener listener_;
  std::mutex mutex_;
  std::set<uint32_t> pending_;
  bool sending_ = false;  // one is on its way, or will be tried again
  std::condition_variable sent_;
  bulkhead::Timer retry_;
  bulkhead::Sql sql_;  // last: its destructor waits for callbacks
};

}  // namespace cache
