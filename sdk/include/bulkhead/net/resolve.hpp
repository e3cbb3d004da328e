// bulkhead/net/resolve.hpp - the addresses of a name, with a deadline that silent name servers
// cannot exceed.
//
//   const auto lookup = resolve::look_up("db.example");  // begins; several may be under way
//   const resolve::Answer answer = lookup->await(deadline, stop);
//
// getaddrinfo() cannot be cancelled, and takes half a minute where no server answers. So it runs on
// a detached thread, and a wait ends at the deadline or when told to stop. The thread may return
// later: it touches only what it holds, and its code stays, for the host unmaps no library.
#ifndef BULKHEAD_NET_RESOLVE_HPP
#define BULKHEAD_NET_RESOLVE_HPP

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace bulkhead::resolve {

using Clock = std::chrono::steady_clock;

struct Answer {
  std::vector<std::string> addresses;  // as digits, in getaddrinfo()'s order
  std::string why;                     // there is none
};

namespace detail {

inline Answer ask_system(const std::string& name, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  const int wrong = getaddrinfo(name.c_str(), nullptr, &hints, &found);
  if (wrong == EAI_SYSTEM) return {{}, std::generic_category().message(errno)};
  if (wrong != 0) return {{}, gai_strerror(wrong)};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
  Answer answer;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    char digits[NI_MAXHOST];
    if (getnameinfo(each->ai_addr, each->ai_addrlen, digits, sizeof digits, nullptr, 0, NI_NUMERICHOST) == 0)
      answer.addresses.emplace_back(digits);
  }
  if (answer.addresses.empty()) answer.why = "it has no address";
  return answer;
}

}  // namespace detail

// Whether it is an address already.
inline bool is_address(const std::string& name) { return !detail::ask_system(name, AI_NUMERICHOST).addresses.empty(); }

// One question to the system. [any]
class Lookup {
 public:
  // No address at the deadline or once `stop` is requested, unless the answer is there already.
  Answer await(Clock::time_point deadline, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_until(lock, stop, deadline, [this] { return answer_.has_value(); })) return *answer_;
    return {{}, stop.stop_requested() ? "nobody waits for its address any more" : "no name server answers"};
  }

 private:
  friend class Resolver;

  void finish(Answer answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
    changed_.notify_all();
  }
  bool under_way() {
    const std::lock_guard lock(mutex_);
    return !answer_.has_value();
  }

  const Clock::time_point began_ = Clock::now();
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Answer> answer_;
};

// Those who ask for a name at the same time share a lookup, but none that has been under way for
// `shared_for`: it may have come at a moment from which it does not recover. [any]
class Resolver {
 public:
  using Ask = std::function<Answer(const std::string& name)>;

  Resolver(Ask ask, Clock::duration shared_for) : ask_(std::move(ask)), shared_for_(shared_for) {}

  std::shared_ptr<Lookup> look_up(const std::string& name) {
    const std::lock_guard lock(mutex_);
    std::weak_ptr<Lookup>& last = lookups_[name];
    if (auto lookup = last.lock(); lookup && lookup->under_way() && Clock::now() - lookup->began_ < shared_for_)
      return lookup;
    auto lookup = std::make_shared<Lookup>();
    last = lookup;
    if (is_address(name)) {
      lookup->finish({{name}, {}});
      return lookup;
    }
    try {
      std::thread thread([lookup, name, ask = ask_] { lookup->finish(ask(name)); });
      pthread_setname_np(thread.native_handle(), "bh-resolve");
      thread.detach();
    } catch (const std::system_error& error) {
      lookup->finish({{}, error.what()});
    }
    return lookup;
  }

 private:
  const Ask ask_;
  const Clock::duration shared_for_;
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Lookup>> lookups_;  // the last one of each name
};

inline std::shared_ptr<Lookup> look_up(const std::string& name) {
  static Resolver resolver([](const std::string& asked) { return detail::ask_system(asked, 0); },
                           std::chrono::seconds(30));
  return resolver.look_up(name);
}

}  // namespace bulkhead::resolve

#endif  // BULKHEAD_NET_RESOLVE_HPP
