// A hook in every phase; each leaves its mark in an attribute, RESPOND shows them in a header.
#include <atomic>
#include <memory>
#include <thread>

#include "bulkhead/plugin.hpp"

class Chained : public bulkhead::Plugin {
 public:
  Chained(bulkhead::Host host, const bulkhead::Json& config)
      : Plugin(host), name_(config.value("name", "x")), races_(config.value("races", false)) {
    hook(BH_RECEIVE, &Chained::receive);
    hook(BH_ADMIT, &Chained::admit);
    hook(BH_AUTHENTICATE, &Chained::authenticate);
    hook(BH_AUTHORIZE, &Chained::authorize);
    hook(BH_PREPARE, &Chained::prepare);
    hook(BH_RESPOND, &Chained::respond);
    hook(BH_COMPLETE, &Chained::complete);
    get("/chained/" + name_ + "/completed", &Chained::completed);
    post("/chained/" + name_ + "/echo", &Chained::echo);
  }
  void start() override {
    if (!races_) return;
    resumer_ = std::jthread([this](const std::stop_token& stopping) {
      while (!stopping.stop_requested()) {
        const std::unique_ptr<bulkhead::Exchange> ex(handed_.exchange(nullptr));
        if (ex)
          ex->resume();
        else
          std::this_thread::yield();
      }
    });
  }
  void stop() override { resumer_ = {}; }

 private:
  bh_flow mark(const bulkhead::Request& request, const char* phase) {
    const std::string key = std::string(host().instance()) + ".trail";
    request.attribute(key, std::string(request.attribute(key)) + phase + (request.body().empty() ? "" : "b") +
                               (request.route().empty() ? "" : "r") + " ");
    return BH_NEXT;
  }
  bh_flow receive(const bulkhead::Request& r) { return mark(r, "receive"); }
  bh_flow admit(const bulkhead::Request& r) {
    if (r.header("x-stop") == "admit") return answer(r, bulkhead::text(403, "stopped"));
    return mark(r, "admit");
  }
  bh_flow authenticate(const bulkhead::Request& r) {
    if (r.header("x-stop") == "twice" && name_ == "a") {
      // Resumes again while another plugin is waited for: that one's word must not be taken for it.
      std::thread([ex = bulkhead::Exchange(host().raw(), r.handle())] {
        ex.resume();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        ex.resume();
      }).detach();
      return BH_PENDING;
    }
    if (r.header("x-stop") != "wait") return mark(r, "authenticate");
    mark(r, "authenticate");
    // Waits on another thread, then goes on.
    std::thread([ex = bulkhead::Exchange(host().raw(), r.handle())] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ex.resume();
    }).detach();
    return BH_PENDING;
  }
  bh_flow authorize(const bulkhead::Request& r) {
    if (r.header("x-stop") != "twice" || name_ != "b") return mark(r, "authorize");
    std::thread([ex = bulkhead::Exchange(host().raw(), r.handle())] {
      std::this_thread::sleep_for(std::chrono::milliseconds(150));
      ex.fail(BH_E_DENIED, "refused after a while");
    }).detach();
    return BH_PENDING;
  }
  bh_flow prepare(const bulkhead::Request& r) {
    if (r.header("x-stop") != "race") return mark(r, "prepare");
    // Another thread resumes and lets go while this one returns.
    auto ex = std::make_unique<bulkhead::Exchange>(host().raw(), r.handle());
    bulkhead::Exchange* nobody = nullptr;
    if (!handed_.compare_exchange_strong(nobody, ex.get())) return BH_NEXT;
    (void)ex.release();
    const uint64_t until = host().now_ns() + std::hash<uint64_t>{}(host().now_ns()) % 1000;
    while (host().now_ns() < until) {
    }
    return BH_PENDING;
  }
  bh_flow respond(const bulkhead::Request& r) {
    const std::string trail(r.attribute(std::string(host().instance()) + ".trail"));
    bh_outcome outcome{};
    outcome.size = sizeof outcome;
    host().raw()->ex_outcome(host().raw(), r.handle(), &outcome);
    const std::string author(bulkhead::to_view(outcome.author));
    const bh_pair fields[] = {{BH_LIT("x-trail"), bulkhead::to_str(trail)},
                              {BH_LIT("x-author"), bulkhead::to_str(author)},
                              {BH_LIT("x-order"), bulkhead::to_str(host().instance())}};
    bh_reply change{};
    change.size = sizeof change;
    change.flags = BH_APPEND;
    change.headers = fields;
    change.header_count = 3;
    host().raw()->ex_edit(host().raw(), r.handle(), &change);
    return BH_NEXT;
  }
  bh_flow complete(const bulkhead::Request&) {
    ++completed_;
    return BH_NEXT;
  }
  bulkhead::Response completed(const bulkhead::Request&) {
    return bulkhead::text(200, std::to_string(completed_.load()));
  }
  bulkhead::Response echo(const bulkhead::Request& r) { return bulkhead::text(200, std::string(r.body())); }

  std::string name_;
  const bool races_;
  std::atomic<int> completed_{0};
  std::atomic<bulkhead::Exchange*> handed_{nullptr};
  std::jthread resumer_;
};
BULKHEAD_PLUGIN(
    Chained, "chained", "1.0.0", "A hook in every phase.",
    .schema =
        R"({"type":"object","additionalProperties":false,"properties":{"name":{"type":"string","description":"Part of its routes."},"races":{"type":"boolean","description":"A thread spins to resume who says x-stop: race."}}})")
