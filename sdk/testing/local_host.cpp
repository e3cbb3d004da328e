#include "bulkhead/testing/local_host.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "bulkhead/attributes.h"
#include "bulkhead/text/ascii.hpp"
#include "bulkhead/value.hpp"
#include "core/chain/runner.hpp"
#include "core/config/model.hpp"
#include "core/hosting/manager.hpp"
#include "core/http/http1/parser.hpp"
#include "core/http/http1/writer.hpp"
#include "core/runtime/checks.hpp"
#include "core/runtime/clock.hpp"
#include "peer.hpp"
#include "recorder.hpp"

namespace bulkhead::testing {

using std::chrono::milliseconds;

// Its run, until the answer is out or the caller has left.
class LocalHost::Sent {
 public:
  chain::Run* run = nullptr;
  Answer answer;
};

class LocalHost::Impl final : public exchange::Home, public chain::Channel {
 public:
  Impl()
      : Home(0),
        log_(quiet()),
        recorder_(log_, metrics_, tracing_),
        executor_(4, 1024),
        environment_(log_, metrics_, tracing_, executor_, timers_, services_),
        manager_(environment_, [](std::string text) { return text; }),
        runner_(
            {config_.request_timeout_ms, config_.enforce_scopes}, executor_, tracing_,
            [this](exchange::Exchange& ex, std::string_view plugin, std::string_view what) {
              log_.write(telemetry::Level::kError, what, {{"plugin", plugin}, {"request_id", to_view(ex.request.id)}});
            }) {}
  ~Impl() { stop(); }

  // ---- plugins

  hosting::Manager& manager() { return manager_; }
  void add(const std::string& id, const std::string& file, const Json& values) {
    config::PluginEntry entry;
    entry.id = id;
    entry.library = file;
    entry.config = values;
    entry.pointer = "/plugins/" + std::to_string(config_.plugins.size());
    config_.plugins.push_back(std::move(entry));
  }
  void add_peer(std::unique_ptr<Peer> peer) {
    manager_.link(peer->id(), peer->descriptor());
    add(peer->id(), {}, {{"peer", peer->address()}});
    peers_.push_back(std::move(peer));
  }
  Peer& peer(const std::string& id) {
    for (const auto& each : peers_)
      if (each->id() == id) return *each;
    throw std::runtime_error("no add_peer(\"" + id + "\") came before");
  }

  void create() {
    const std::vector<config::Issue> issues = manager_.create(config_);
    if (!issues.empty()) config_.plugins.pop_back();  // create() may be called again
    refuse(issues);
  }
  void start() {
    refuse(manager_.start());
    runner_.publish(manager_.table());
    started_ = true;
  }
  void drain() { environment_.draining.store(true); }
  void stop() {
    if (stopped_) return;
    stopped_ = true;
    while (!sent_.empty()) abandon(sent_.begin()->second);
    // Steps under way see at their next wait that the caller has left.
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    for (turn(); runs_ != 0 && std::chrono::steady_clock::now() < until; turn())
      std::this_thread::sleep_for(milliseconds(1));
    manager_.quiesce();
    executor_.stop();
    turn();
    manager_.retire();
    timers_.stop();
    // The plugins are gone: what is left is let go, nothing of it runs.
    for (exchange::Exchange* ex : take_inbox()) {
      ex->notes.forget_attachments();
      if (ex->unreferenced())
        recycle(ex);
      else
        ex->unref();
    }
  }
  void advance(uint64_t ms) {
    runtime::clock_shift_ns.fetch_add(ms * 1'000'000);
    timers_.settle();
    turn();
  }

  // ---- requests

  std::shared_ptr<Sent> begin(const Call& made) {
    if (!started_ || stopped_) throw std::runtime_error("the host is not started, or is stopped");
    auto sent = std::make_shared<Sent>();
    auto* run = new chain::Run(*this);
    ++runs_;
    sent->run = run;
    sent_[run] = sent;
    run->ref();
    run->start(runner_, *this, manager_.table());
    run->request.size = sizeof(bh_request);
    run->request.body_text = made.body;
    act(*run, receive(*run, made));
    return sent;
  }
  Answer finish(const std::shared_ptr<Sent>& sent, milliseconds patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    turn();
    while (sent->run != nullptr && std::chrono::steady_clock::now() < until) {
      {
        std::unique_lock lock(mutex_);
        woken_.wait_until(lock, std::min(until, std::chrono::steady_clock::now() + milliseconds(10)),
                          [this] { return !inbox_.empty(); });
      }
      turn();
    }
    return sent->answer;
  }
  void abandon(const std::shared_ptr<Sent>& sent) {
    if (sent->run == nullptr) return;
    chain::Run& run = *std::exchange(sent->run, nullptr);
    sent_.erase(&run);
    if (sent->answer.status == 0) sent->answer.status = 499;
    runner_.abandoned(run);
    run.unref();
  }

  // ---- exchange::Home

  void post(exchange::Exchange* ex) override {
    {
      const std::lock_guard lock(mutex_);
      inbox_.push_back(ex);
    }
    woken_.notify_all();
  }
  bool on_thread() const override { return std::this_thread::get_id() == thread_; }
  void recycle(exchange::Exchange* ex) override {
    auto* run = static_cast<chain::Run*>(ex);
    run->clear();
    --runs_;
    if (runtime::checked())
      over_.emplace_back(run);  // so that a stale handle is known as one
    else
      delete run;  // so that a sanitizer knows one
  }
  runtime::DeadlineQueue& deadlines() override { return deadlines_; }
  void body_released(size_t /*bytes*/) override {}
  void give_slab(runtime::SlabRef /*slab*/) override {}

  // ---- chain::Channel

  void moved(chain::Run& run, chain::Wait wait) override { act(run, wait); }
  void failed() override {}

  Recorder& recorder() { return recorder_; }
  const hosting::Instance& instance(const std::string& id) const {
    if (const hosting::Instance* found = manager_.find(id); found != nullptr) return *found;
    throw std::runtime_error("the plugin '" + id + "' is not created");
  }
  const hosting::Services& services() const { return services_; }

 private:
  static telemetry::LogSettings quiet() {
    telemetry::LogSettings settings;
    settings.level = telemetry::Level::kTrace;
    settings.file = "/dev/null";
    return settings;
  }
  static void refuse(const std::vector<config::Issue>& issues) {
    std::string all;
    for (const config::Issue& issue : issues) all += (all.empty() ? "" : "; ") + issue.pointer + ": " + issue.message;
    if (!all.empty()) throw std::runtime_error(all);
  }

  // The request as HTTP/1.1 has it, through the host's parser.
  chain::Wait receive(chain::Run& run, const Call& made) {
    std::string head = made.method + " " + made.target + " HTTP/1.1\r\n";
    bool host = false;
    for (const auto& [name, value] : made.headers) {
      head += name + ": " + value + "\r\n";
      host = host || iequals(name, "host");
    }
    if (!host) head += "host: test\r\n";
    if (!made.body.empty()) head += "content-length: " + std::to_string(made.body.size()) + "\r\n";
    head += "\r\n";
    exchange::Request& request = run.request;
    request.head_slab = runtime::SlabRef(runtime::Slab::make(head.size()));
    std::memcpy(request.head_slab->data(), head.data(), head.size());
    http::http1::RequestParser parser(settings_.limits);
    size_t consumed = 0;
    const auto result = parser.parse_head(request.head_slab->data(), head.size(), request, &consumed);
    request.id = to_str(request.copy("request-" + std::to_string(++count_)));
    request.peer = request.socket = to_str("127.0.0.1");
    request.scheme = to_str("http");
    request.received_ns = runtime::now_ns();
    request.deadline_ns = request.received_ns + uint64_t{runner_.request_timeout_ms()} * 1'000'000;
    if (!made.subject.empty() || !made.scopes.empty()) {
      run.notes.put(BH_IDENTITY_SUBJECT, made.subject.empty() ? "test" : made.subject);
      run.notes.put(BH_IDENTITY_SCOPES, made.scopes);
    }
    if (result == http::http1::RequestParser::Result::kDone) return runner_.advance(run);
    if (!parser.request_line_parsed()) run.skip_hooks();
    return runner_.refuse(run, parser.status(), parser.detail());
  }

  void act(chain::Run& run, chain::Wait wait) {
    if (wait == chain::Wait::kBody) return give_body(run);
    if (wait != chain::Wait::kWrite) return;
    const auto found = sent_.find(&run);
    if (found == sent_.end()) return;
    Sent& sent = *found->second;
    sent.answer.status = run.answer.status();
    for (const bh_pair& field : run.answer.headers()) {
      const std::string_view name = to_view(field.name);
      if (!http::http1::kept_back(name)) sent.answer.headers.emplace_back(name, to_view(field.value));
    }
    const bool none = to_view(run.request.method) == "HEAD" || http::http1::bodiless(sent.answer.status);
    if (!none) sent.answer.body = run.answer.body();
    run.bytes_out = sent.answer.body.size();
    sent.run = nullptr;
    sent_.erase(found);
    runner_.written(run);
    run.unref();
  }
  void give_body(chain::Run& run) {
    const uint64_t of_route = run.plan->route->max_body;
    const uint64_t limit = of_route != 0 ? of_route : settings_.limits.body;
    const std::string& body = run.request.body_text;
    if (body.size() > limit)
      act(run, runner_.refuse(run, 413, "The body is longer than " + std::to_string(limit) + " bytes."));
    else
      act(run, runner_.body_arrived(run, body));
  }

  std::vector<exchange::Exchange*> take_inbox() {
    const std::lock_guard lock(mutex_);
    return std::exchange(inbox_, {});
  }
  // What others asked of this thread, and what came due.
  void turn() {
    for (auto batch = take_inbox(); !batch.empty(); batch = take_inbox()) {
      for (exchange::Exchange* ex : batch) {
        if (ex->unreferenced()) {
          recycle(ex);
          continue;
        }
        ex->woken();
        ex->unref();
      }
    }
    deadlines_.expire(runtime::now_ns());
  }

  const std::thread::id thread_ = std::this_thread::get_id();
  config::Config config_ = config::defaults();
  const http::Settings& settings_ = config_.http;
  telemetry::Log log_;
  telemetry::Metrics metrics_;
  telemetry::Tracing tracing_;
  Recorder recorder_;
  runtime::Executor executor_;
  runtime::Timers timers_{executor_};
  hosting::Services services_;
  hosting::Environment environment_;
  std::vector<std::unique_ptr<Peer>> peers_;
  hosting::Manager manager_;
  chain::Runner runner_;
  bool started_ = false, stopped_ = false;
  uint64_t count_ = 0;
  size_t runs_ = 0;
  runtime::DeadlineQueue deadlines_;
  std::map<chain::Run*, std::shared_ptr<Sent>> sent_;
  std::vector<std::unique_ptr<chain::Run>> over_;
  std::mutex mutex_;  // what follows
  std::condition_variable woken_;
  std::vector<exchange::Exchange*> inbox_;
};

LocalHost::LocalHost(const bh_plugin* plugin) : impl_(std::make_unique<Impl>()), under_test_(to_view(plugin->id)) {
  impl_->manager().link(under_test_, plugin);
}
LocalHost::LocalHost(const std::string& file)
    : impl_(std::make_unique<Impl>()), under_test_(std::filesystem::path(file).stem().string()), file_(file) {}
LocalHost::~LocalHost() = default;

void LocalHost::add(const std::string& id, const std::string& file, const Json& config) {
  impl_->add(id, file, config);
}
void LocalHost::offer(const std::string& service, uint32_t version, const void* api, void* self) {
  std::string id = service;
  std::replace(id.begin(), id.end(), '.', '-');
  impl_->add_peer(std::make_unique<Peer>(id, service, version, api, self));
}
void LocalHost::add_peer(const std::string& id) { impl_->add_peer(std::make_unique<Peer>(id)); }
void LocalHost::set_health(const std::string& peer, int32_t state, const std::string& why) {
  impl_->peer(peer).set_health(state, why);
}

void LocalHost::create(const Json& config) {
  impl_->add(under_test_, file_, config);
  impl_->create();
}
void LocalHost::start() { impl_->start(); }
void LocalHost::drain() { impl_->drain(); }
void LocalHost::stop() { impl_->stop(); }
void LocalHost::advance(uint64_t ms) { impl_->advance(ms); }

Answer LocalHost::call(const Call& made, milliseconds patience) { return finish(begin(made), patience); }
std::shared_ptr<LocalHost::Sent> LocalHost::begin(const Call& made) { return impl_->begin(made); }
Answer LocalHost::finish(const std::shared_ptr<Sent>& sent, milliseconds patience) {
  return impl_->finish(sent, patience);
}
void LocalHost::disconnect(const std::shared_ptr<Sent>& sent) { impl_->abandon(sent); }

std::vector<LogEntry> LocalHost::logs() const { return impl_->recorder().logs(); }
std::vector<Recorded> LocalHost::records() const { return impl_->recorder().records(); }
std::vector<SpanEntry> LocalHost::spans() const { return impl_->recorder().spans(); }
int32_t LocalHost::health() const { return impl_->instance(under_test_).health().state; }
std::string LocalHost::health_reason() const { return impl_->instance(under_test_).health().why; }
std::vector<std::string> LocalHost::routes() const {
  std::vector<std::string> list;
  for (const chain::Route& route : impl_->instance(under_test_).routes())
    list.push_back(route.method + " " + route.pattern);
  return list;
}
const void* LocalHost::service(const std::string& id) const {
  std::string ignored;
  const auto provider = impl_->services().find(id, 0, &ignored);
  return provider ? provider->api : nullptr;
}
void* LocalHost::self() const { return impl_->instance(under_test_).self(); }

}  // namespace bulkhead::testing
