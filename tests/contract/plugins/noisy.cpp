// Logs, posts, sets timers; counts how often they ran. A large body for slow readers.
#include <atomic>

#include "bulkhead/plugin.hpp"

class Noisy : public bulkhead::Plugin {
 public:
  Noisy(bulkhead::Host h, const bulkhead::Json& /*config*/) : Plugin(h), large_(8 * 1024 * 1024, 'x') {
    get("/noisy/log/{count}", &Noisy::log);
    get("/noisy/work", &Noisy::work);
    get("/noisy/large", &Noisy::large);
  }
  void start() override {
    host().raw()->timer(
        host().raw(), 10, 10, [](void* self) { ++static_cast<Noisy*>(self)->ticks_; }, this);
  }

 private:
  bulkhead::Response log(const bulkhead::Request& request) {
    const int count = std::stoi(std::string(request.param("count")));
    for (int i = 0; i < count; ++i)
      host().info("a line", {{"number", std::to_string(i)}, {"odd", "quote \" and \xff"}});
    return bulkhead::Response(204);
  }
  bulkhead::Response work(const bulkhead::Request&) {
    host().raw()->post(
        host().raw(), [](void* self) { ++static_cast<Noisy*>(self)->posts_; }, this);
    return bulkhead::json(200, bulkhead::Json{{"ticks", ticks_.load()}, {"posts", posts_.load()}});
  }
  bulkhead::Response large(const bulkhead::Request&) { return bulkhead::Response(200).lend(large_); }

  const std::string large_;
  std::atomic<int> ticks_{0}, posts_{0};
};
BULKHEAD_PLUGIN(Noisy, "noisy", "1.0.0", "Logs, posts, sets timers.")
