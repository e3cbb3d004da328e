// Answers from a thread of its own, after a while, and reports what the host said to the answer.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "bulkhead/plugin.hpp"

class Async : public bulkhead::Plugin {
 public:
  Async(bulkhead::Host host, const bulkhead::Json& /*config*/) : Plugin(host) {
    get("/async/{ms}", &Async::later);
    get("/async/dropped", &Async::dropped);
    route("GET", "/async/timed/{ms}", &Async::later, {}, {.timeout_ms = 200});
    get("/async/counts", &Async::counts);
  }
  void stop() override {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  void later(const bulkhead::Request& request, bulkhead::Exchange ex) {
    const int ms = std::stoi(std::string(request.param("ms")));
    {
      const std::lock_guard lock(mutex_);
      ++running_;
    }
    std::thread([this, ms, ex = std::move(ex), path = request.path()]() mutable {
      std::this_thread::sleep_for(std::chrono::milliseconds(ms));
      // The request's views are valid while the exchange is held.
      (ex.reply(bulkhead::text(200, std::string(path))) ? answered_ : gone_)++;
      ex = bulkhead::Exchange();
      const std::lock_guard lock(mutex_);
      --running_;
      idle_.notify_all();
    }).detach();
  }
  void dropped(const bulkhead::Request&, bulkhead::Exchange) {}
  bulkhead::Response counts(const bulkhead::Request&) {
    return bulkhead::json(200, bulkhead::Json{{"answered", answered_.load()}, {"gone", gone_.load()}});
  }

  std::mutex mutex_;
  std::condition_variable idle_;
  int running_ = 0;
  std::atomic<int> answered_{0}, gone_{0};
};
BULKHEAD_PLUGIN(Async, "async", "1.0.0", "Answers later.")
