// bh_host's functions on an exchange.
#include "bulkhead/attributes.h"
#include "bulkhead/status.hpp"
#include "core/chain/problem.hpp"
#include "core/chain/run.hpp"
#include "core/hosting/host_api.hpp"
#include "core/hosting/instance.hpp"
#include "core/runtime/clock.hpp"

namespace bulkhead::hosting {

using chain::Run;
using exchange::Exchange;

struct ExchangeApi {
  static Instance& of(const bh_host* h) { return *static_cast<Instance*>(h->ctx); }

  static bh_exchange* ex_retain(const bh_host* /*h*/, bh_exchange* ex) {
    Exchange::of(ex)->hold();
    return ex;
  }
  static void ex_release(const bh_host* /*h*/, bh_exchange* ex) { Exchange::of(ex)->unhold(); }
  static int32_t ex_live(const bh_host* /*h*/, bh_exchange* ex) { return Exchange::of(ex)->live() ? 1 : 0; }
  static bh_status ex_reply(const bh_host* h, bh_exchange* handle, const bh_reply* r) {
    Exchange& ex = *Exchange::of(handle);
    if (!BH_HAS(r, arg) || r->status < 200 || r->status > 599) {
      if (BH_HAS(r, arg) && r->release != nullptr) r->release(r->arg);
      return BH_E_INVALID;
    }
    if (!ex.answer.give(*r, of(h).id())) return BH_E_GONE;
    ex.wake();
    return BH_OK;
  }
  static bh_status ex_fail(const bh_host* h, bh_exchange* handle, bh_status code, bh_str detail) {
    Exchange& ex = *Exchange::of(handle);
    const int status = http_status(code);
    if (code >= BH_OK) return BH_E_INVALID;
    Instance& plugin = of(h);
    bool mine = false;
    if (status == 500) {
      mine = chain::answer_problem(
          ex, status, "The server failed to answer this request. The log has the reason under this id.", plugin.id());
      if (mine) h->log(h, handle, BH_ERROR, detail, nullptr, 0);
    } else {
      mine = chain::answer_problem(ex, status, to_view(detail), plugin.id());
    }
    if (!mine) return BH_E_GONE;
    ex.wake();
    return BH_OK;
  }
  static bh_status ex_resume(const bh_host* h, bh_exchange* handle) {
    Run& ex = *Run::of(handle);
    if (!ex.resume(&of(h).owner_)) return ex.live() ? BH_E_STATE : BH_E_GONE;
    ex.wake();
    return BH_OK;
  }
  static bh_status ex_on_end(const bh_host* h, bh_exchange* ex, void (*run)(void*), void* arg) {
    if (run == nullptr) return BH_E_INVALID;
    Exchange::of(ex)->notes.on_end({of(h).id(), run, arg});
    return BH_OK;
  }
  static bh_status ex_outcome(const bh_host* /*h*/, bh_exchange* handle, bh_outcome* out) {
    Run& ex = *Run::of(handle);
    if (!BH_HAS(out, bytes_out)) return BH_E_INVALID;
    if (!ex.step_is_current() || ex.row() < chain::kRespondRow) return BH_E_STATE;
    const uint32_t size = out->size;
    *out = {};
    out->size = size;
    out->status = 499;
    out->duration_ns = (ex.finished_ns != 0 ? ex.finished_ns : runtime::now_ns()) - ex.request.received_ns;
    out->bytes_out = ex.bytes_out;
    if (ex.aborted) return BH_OK;
    out->status = ex.answer.status();
    out->headers = ex.answer.headers().data();
    out->header_count = ex.answer.headers().size();
    out->body = to_str(ex.answer.body());
    out->author = to_str(ex.answer.author());
    return BH_OK;
  }
  static bh_status ex_edit(const bh_host* /*h*/, bh_exchange* handle, const bh_reply* change) {
    Run& ex = *Run::of(handle);
    if (!BH_HAS(change, arg)) return BH_E_INVALID;
    bh_status status = change->status != 0 && (change->status < 200 || change->status > 599) ? BH_E_INVALID : BH_OK;
    if (status == BH_OK && !ex.edit(*change)) status = BH_E_STATE;
    if (status != BH_OK && change->release != nullptr) change->release(change->arg);
    return status;
  }
  static bh_status ex_get(const bh_host* /*h*/, bh_exchange* ex, bh_str key, bh_str* value) {
    std::string_view found;
    if (!Exchange::of(ex)->notes.get(to_view(key), &found)) return BH_E_NOT_FOUND;
    *value = to_str(found);
    return BH_OK;
  }
  static bh_status ex_put(const bh_host* h, bh_exchange* ex, bh_str key, bh_str value) {
    Instance& plugin = of(h);
    const std::string_view name = to_view(key);
    if (name.starts_with(BH_IDENTITY_PREFIX)) {
      if (!plugin.may_identify_) return BH_E_DENIED;
    } else if (name.starts_with(BH_TLS_PREFIX)) {  // what the handshake proved is the host's to say
      return BH_E_DENIED;
    } else if (!name.starts_with(plugin.id() + ".") &&
               !name.starts_with(std::string(to_view(plugin.descriptor().id)) + ".")) {
      return BH_E_INVALID;
    }
    Exchange::of(ex)->notes.put(name, to_view(value));
    return BH_OK;
  }
  static bh_status ex_attach(const bh_host* h, bh_exchange* ex, bh_str key, void* data, void (*release)(void*)) {
    if (data == nullptr || release == nullptr) return BH_E_INVALID;
    if (Exchange::of(ex)->notes.attach(&of(h), to_view(key), data, release)) return BH_OK;
    release(data);
    return BH_E_CONFLICT;
  }
  static void* ex_attached(const bh_host* h, bh_exchange* ex, bh_str key) {
    return Exchange::of(ex)->notes.attached(&of(h), to_view(key));
  }
  static bh_status ex_call(const bh_host* h, bh_exchange* ex, void (*run)(void*), void* arg) {
    if (run == nullptr) return BH_E_INVALID;
    Exchange::of(ex)->call_at_home({of(h).id(), run, arg});
    return BH_OK;
  }

  static void fill(bh_host* h) {
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

void fill_exchange_api(bh_host* host) { ExchangeApi::fill(host); }

}  // namespace bulkhead::hosting
