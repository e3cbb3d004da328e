#include "core/hosting/checked_api.hpp"

#include <unistd.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "bulkhead/value.hpp"
#include "core/chain/run.hpp"
#include "core/hosting/host_api.hpp"
#include "core/hosting/instance.hpp"

namespace bulkhead::hosting {

using chain::Run;

namespace {

// How often each plugin holds each exchange.
class Holds {
 public:
  void add(const bh_host* host, const bh_exchange* ex) {
    const std::lock_guard lock(mutex_);
    ++counts_[{host->ctx, ex}];
  }
  // False where the plugin holds it not at all.
  bool remove(const bh_host* host, const bh_exchange* ex) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find({host->ctx, ex});
    if (found == counts_.end()) return false;
    if (--found->second == 0) counts_.erase(found);
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<const void*, const bh_exchange*>, size_t> counts_;
};

Holds& holds() {
  static Holds all;
  return all;
}

}  // namespace

struct CheckedApi {
  static Instance& of(const bh_host* h) { return *static_cast<Instance*>(h->ctx); }
  static bh_host& plain(const bh_host* h) { return of(h).unchecked_; }

  [[noreturn]] static void fail(const bh_host* h, const std::string& what) {
    const std::string line = "bulkhead: the plugin '" + of(h).id() + "' broke the contract: " + what + "\n";
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
    std::abort();
  }

  // A handle is good while a step of its exchange runs, on any thread, and while the exchange is
  // held: a caller of a service lends it the exchange.
  static Run& good(const bh_host* h, bh_exchange* ex, const char* function) {
    if (ex == nullptr) fail(h, std::string(function) + " without an exchange");
    Run& run = *Run::of(ex);
    if (!run.started()) fail(h, std::string(function) + " of an exchange that is over");
    if (!run.lent() && run.holds() == 0)
      fail(h, std::string(function) + " of an exchange that is not held, outside of its steps (request " +
                  std::string(to_view(run.request.id)) + ")");
    return run;
  }
  static Run& in_step(const bh_host* h, bh_exchange* ex, const char* function) {
    Run& run = good(h, ex, function);
    if (!run.stepping_here()) fail(h, std::string(function) + " outside of a step, or on another thread than its own");
    return run;
  }
  static void setup(const bh_host* h, const char* function) {
    if (!of(h).setting_up()) fail(h, std::string(function) + " outside of create and start");
  }

  // ---- setup

  static bh_status route(const bh_host* h, const bh_route* r, bh_error* err) {
    setup(h, "route");
    return plain(h).route(h, r, err);
  }
  static bh_status hook(const bh_host* h, const bh_hook* k, bh_error* err) {
    setup(h, "hook");
    return plain(h).hook(h, k, err);
  }
  static bh_status publish(const bh_host* h, bh_str id, uint32_t version, const void* api, void* self) {
    setup(h, "publish");
    return plain(h).publish(h, id, version, api, self);
  }
  static bh_status metric(const bh_host* h, const bh_metric* m, uint32_t* id) {
    setup(h, "metric");
    return plain(h).metric(h, m, id);
  }

  // ---- the exchange

  static bh_exchange* ex_retain(const bh_host* h, bh_exchange* ex) {
    good(h, ex, "ex_retain");
    holds().add(h, ex);
    return plain(h).ex_retain(h, ex);
  }
  static void ex_release(const bh_host* h, bh_exchange* ex) {
    if (ex == nullptr || !holds().remove(h, ex)) fail(h, "ex_release of an exchange that it does not hold");
    plain(h).ex_release(h, ex);
  }
  static int32_t ex_live(const bh_host* h, bh_exchange* ex) {
    good(h, ex, "ex_live");
    return plain(h).ex_live(h, ex);
  }
  static bh_status ex_reply(const bh_host* h, bh_exchange* ex, const bh_reply* r) {
    good(h, ex, "ex_reply");
    return plain(h).ex_reply(h, ex, r);
  }
  static bh_status ex_fail(const bh_host* h, bh_exchange* ex, bh_status code, bh_str detail) {
    good(h, ex, "ex_fail");
    if (code >= BH_OK) fail(h, "ex_fail with a status that is no failure");
    return plain(h).ex_fail(h, ex, code, detail);
  }
  static bh_status ex_resume(const bh_host* h, bh_exchange* ex) {
    const Run& run = good(h, ex, "ex_resume");
    const bh_status status = plain(h).ex_resume(h, ex);
    if (status == BH_E_STATE && run.resumed_by(&of(h).owner_)) fail(h, "ex_resume a second time");
    return status;
  }
  static bh_status ex_on_end(const bh_host* h, bh_exchange* ex, void (*run)(void*), void* arg) {
    in_step(h, ex, "ex_on_end");
    return plain(h).ex_on_end(h, ex, run, arg);
  }
  static bh_status ex_outcome(const bh_host* h, bh_exchange* ex, bh_outcome* out) {
    in_step(h, ex, "ex_outcome");
    return plain(h).ex_outcome(h, ex, out);
  }
  static bh_status ex_edit(const bh_host* h, bh_exchange* ex, const bh_reply* change) {
    const Run& run = in_step(h, ex, "ex_edit");
    if (run.step_is_current() && run.row() > chain::kRespondRow) fail(h, "ex_edit after RESPOND");
    return plain(h).ex_edit(h, ex, change);
  }
  static bh_status ex_get(const bh_host* h, bh_exchange* ex, bh_str key, bh_str* value) {
    good(h, ex, "ex_get");
    return plain(h).ex_get(h, ex, key, value);
  }
  static bh_status ex_put(const bh_host* h, bh_exchange* ex, bh_str key, bh_str value) {
    good(h, ex, "ex_put");
    return plain(h).ex_put(h, ex, key, value);
  }
  static bh_status ex_attach(const bh_host* h, bh_exchange* ex, bh_str key, void* data, void (*release)(void*)) {
    good(h, ex, "ex_attach");
    return plain(h).ex_attach(h, ex, key, data, release);
  }
  static void* ex_attached(const bh_host* h, bh_exchange* ex, bh_str key) {
    good(h, ex, "ex_attached");
    return plain(h).ex_attached(h, ex, key);
  }
  static bh_status ex_call(const bh_host* h, bh_exchange* ex, void (*run)(void*), void* arg) {
    if (good(h, ex, "ex_call").holds() == 0) fail(h, "ex_call of an exchange that is not held");
    return plain(h).ex_call(h, ex, run, arg);
  }

  static void fill(bh_host* h) {
    plain(h) = *h;
    h->route = route;
    h->hook = hook;
    h->publish = publish;
    h->metric = metric;
    h->ex_retain = ex_retain;
    h->ex_release = ex_release;
    h->ex_live = ex_live;
    h->ex_reply = ex_reply;
    h->ex_fail = ex_fail;
    h->ex_resume = ex_resume;
    h->ex_on_end = ex_on_end;
    h->ex_outcome = ex_outcome;
    h->ex_edit = ex_edit;
    h->ex_get = ex_get;
    h->ex_put = ex_put;
    h->ex_attach = ex_attach;
    h->ex_attached = ex_attached;
    h->ex_call = ex_call;
  }
};

void check_calls(bh_host* host) { CheckedApi::fill(host); }

}  // namespace bulkhead::hosting
