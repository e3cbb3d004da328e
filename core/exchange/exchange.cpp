#include "core/exchange/exchange.hpp"

#include <cstring>

#include <algorithm>

#include "bulkhead/text/ascii.hpp"

namespace bulkhead::exchange {

namespace {
// Bodies up to this size are copied rather than kept by reference: cheaper than the caller's
// allocation.
void no_release(void* /*arg*/) {}
}  // namespace

void Exchange::unref() {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (home_.on_thread())
    home_.recycle(this);
  else
    home_.post(this);
}

void Exchange::unhold() {
  if (holds_.fetch_sub(1, std::memory_order_acq_rel) == 1) wake();
  unref();
}

void Exchange::set_trace(const uint8_t (&trace_id)[16], const uint8_t (&span_id)[8], uint32_t flags) {
  if (!traced()) {
    std::memcpy(request.trace_id, trace_id, sizeof trace_id);
    std::memcpy(request.span_id, span_id, sizeof span_id);
    for (Blanked& variant : blanked) {
      std::memcpy(variant.request.trace_id, trace_id, sizeof trace_id);
      std::memcpy(variant.request.span_id, span_id, sizeof span_id);
    }
  }
  trace_state_.store((flags & ~kTraced) | kTraced, std::memory_order_release);
}

void Exchange::wake() {
  if (stepping_here() || queued.exchange(true, std::memory_order_acq_rel)) return;
  ref();
  home_.post(this);
}

bool Exchange::answer(const bh_reply& reply, std::string_view author) {
  if (!claim()) {
    if (reply.release != nullptr) reply.release(reply.arg);
    return false;
  }
  answer_.status = reply.status;
  answer_.author = author;
  for (size_t i = 0; i < reply.header_count; ++i) {
    const std::string_view name = to_view(reply.headers[i].name);
    char* p = answer_arena_.allocate(name.size());
    std::transform(name.begin(), name.end(), p, lower);
    answer_.headers.push_back({{p, name.size()}, to_str(answer_arena_.copy(to_view(reply.headers[i].value)))});
  }
  if (reply.release != nullptr) {
    answer_.body = to_view(reply.body);
    answer_.release = reply.release;
    answer_.arg = reply.arg;
  } else {
    answer_.body = answer_arena_.copy(to_view(reply.body));
    answer_.release = no_release;
  }
  answer_state_.store(kSet, std::memory_order_release);
  return true;
}

bool Exchange::answer(int32_t status, std::string_view content_type, std::string_view body, std::string_view author,
                      const bh_pair* extra, size_t extra_count) {
  std::vector<bh_pair> fields(extra, extra + extra_count);
  if (!content_type.empty()) fields.push_back({to_str("content-type"), to_str(content_type)});
  bh_reply reply{};
  reply.size = sizeof reply;
  reply.status = status;
  reply.headers = fields.data();
  reply.header_count = fields.size();
  reply.body = to_str(body);
  return answer(reply, author);
}

bool Exchange::close() {
  end_life();
  int expected = kOpen;
  return answer_state_.compare_exchange_strong(expected, kClosed, std::memory_order_acq_rel);
}

void Exchange::put(std::string_view key, std::string_view value) {
  const std::lock_guard lock(mutex_);
  const std::string_view kept = copy_locked(value);
  for (Attribute& attribute : attributes_) {
    if (attribute.key == key) {
      attribute.value = kept;
      return;
    }
  }
  attributes_.push_back({copy_locked(key), kept});
  has_attributes_.store(true, std::memory_order_release);
}

bool Exchange::get(std::string_view key, std::string_view* value) {
  if (!has_attributes_.load(std::memory_order_acquire)) return false;
  const std::lock_guard lock(mutex_);
  for (const Attribute& attribute : attributes_) {
    if (attribute.key == key) {
      *value = attribute.value;
      return true;
    }
  }
  return false;
}

bool Exchange::attach(const void* owner, std::string_view key, void* data, void (*release)(void*)) {
  const std::lock_guard lock(mutex_);
  for (const Attached& each : attached_)
    if (each.owner == owner && each.key == key) return false;
  attached_.push_back({owner, copy_locked(key), data, release});
  has_attached_.store(true, std::memory_order_release);
  return true;
}

void* Exchange::attached(const void* owner, std::string_view key) {
  if (!has_attached_.load(std::memory_order_acquire)) return nullptr;
  const std::lock_guard lock(mutex_);
  for (const Attached& each : attached_)
    if (each.owner == owner && each.key == key) return each.data;
  return nullptr;
}

void Exchange::drop_attachments() {
  for (const Attached& each : attached_) each.release(each.data);
  attached_.clear();
  has_attached_.store(false, std::memory_order_relaxed);
}

void Exchange::call_at_home(void (*run)(void*), void* arg) {
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back({run, arg});
    has_calls_.store(true, std::memory_order_release);
  }
  // Also from a step of its own: what runs at home waits for that to return.
  if (queued.exchange(true, std::memory_order_acq_rel)) return;
  ref();
  home_.post(this);
}

void Exchange::run_calls() {
  if (!has_calls_.load(std::memory_order_acquire)) return;
  std::vector<Callback> due;
  {
    const std::lock_guard lock(mutex_);
    due.swap(calls_);
    has_calls_.store(false, std::memory_order_relaxed);
  }
  for (const Callback& call : due) call.run(call.arg);
}

void Exchange::apply(const Edit& edit) {
  auto& fields = answer_.headers;
  if (!edit.append)
    fields.erase(
        std::remove_if(fields.begin(), fields.end(), [&](const bh_pair& f) { return to_view(f.name) == edit.name; }),
        fields.end());
  if (!edit.remove) fields.push_back({to_str(edit.name), to_str(edit.value)});
}

void Exchange::supersede() {
  const std::lock_guard lock(mutex_);
  executor_ticket.fetch_add(1, std::memory_order_acq_rel);
}

bool Exchange::step_is_current() const {
  return stepping_here() && (step_ticket_ == 0 || step_ticket_ == executor_ticket.load(std::memory_order_acquire));
}

bool Exchange::edit(const bh_reply& change) {
  const std::lock_guard lock(mutex_);
  if (!step_is_current() || stage.load(std::memory_order_relaxed) > Stage::kRespond) return false;
  const bool now = stage.load(std::memory_order_relaxed) == Stage::kRespond;
  const bool append = (change.flags & BH_APPEND) != 0;
  for (size_t i = 0; i < change.header_count; ++i) {
    const bh_pair& header = change.headers[i];
    const std::string_view name = to_view(header.name);
    char* p = arena_.allocate(name.size());
    std::transform(name.begin(), name.end(), p, lower);
    const bool remove = header.value.ptr == nullptr;
    const Edit edit{
        {p, name.size()}, remove ? std::string_view() : copy_locked(to_view(header.value)), append && !remove, remove};
    if (now)
      apply(edit);
    else
      edits_.push_back(edit);
  }
  if (change.status != 0) (now ? answer_.status : edit_status_) = change.status;
  if (!now) has_edits_.store(true, std::memory_order_release);
  if (now && change.body.ptr != nullptr) {
    if (answer_.release != nullptr) answer_.release(answer_.arg);
    answer_.release = change.release != nullptr ? change.release : no_release;
    answer_.arg = change.arg;
    answer_.body = change.release != nullptr ? to_view(change.body) : copy_locked(to_view(change.body));
  } else if (change.release != nullptr) {
    change.release(change.arg);
  }
  return true;
}

void Exchange::apply_edits() {
  if (!has_edits_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  for (const Edit& edit : edits_) apply(edit);
  if (edit_status_ != 0) answer_.status = edit_status_;
  edits_.clear();
  edit_status_ = 0;
  has_edits_.store(false, std::memory_order_relaxed);
}

char* Exchange::allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  return arena_.allocate(bytes);
}

std::string_view Exchange::copy(std::string_view text) {
  const std::lock_guard lock(mutex_);
  return copy_locked(text);
}

void Exchange::on_end(void (*run)(void*), void* arg) {
  {
    const std::lock_guard lock(mutex_);
    callbacks_.push_back({run, arg});
    End seen = End::kNobody;
    if (end_.compare_exchange_strong(seen, End::kWaited, std::memory_order_acq_rel) || seen == End::kWaited) return;
    callbacks_.pop_back();
  }
  run(arg);
}

void Exchange::run_end_callbacks() {
  if (end_.exchange(End::kOver, std::memory_order_acq_rel) != End::kWaited) return;
  std::vector<Callback> due;
  {
    const std::lock_guard lock(mutex_);
    due.swap(callbacks_);
  }
  for (const Callback& callback : due) callback.run(callback.arg);
}

void Exchange::drop_answer() {
  if (answer_.release != nullptr) answer_.release(answer_.arg);
  answer_.release = nullptr;
  answer_.body = {};
}

void Exchange::reset() {
  drop_answer();
  drop_attachments();
  home_.deadlines().disarm(*this);
  if (body_charge != 0) home_.body_released(body_charge);
  body_charge = 0;
  request = {};
  headers.clear();
  home_.give_slab(std::move(head_slab));
  home_.give_slab(std::move(body_slab));
  if (body_text.capacity() > Slab::kStandard) body_text = std::string();
  body_text.clear();
  body_complete = true;
  keep_alive = head_only = expect_continue = body_coded = timed_out = aborted = false;
  channel = nullptr;
  next_pipelined = nullptr;
  table.reset();
  plan = nullptr;
  endpoint = nullptr;
  match_path = {};
  stage.store(Stage::kReceive, std::memory_order_release);
  waiting = Waiting::kNo;
  position = 0;
  timed_step = kNoStep;
  timeout_ms = 0;
  current = {};
  bytes_in = bytes_out = finished_ns = 0;
  out_head.clear();
  body_out = {};
  for (Blanked& variant : blanked) variant.made = false;
  has_authorization = has_cookie = false;
  trace_state_.store(0, std::memory_order_relaxed);
  executor_ticket.fetch_add(1, std::memory_order_relaxed);
  end_turn();
  has_edits_.store(false, std::memory_order_relaxed);
  answer_state_.store(kOpen, std::memory_order_relaxed);
  live_.store(true, std::memory_order_relaxed);
  attributes_.clear();
  has_attributes_.store(false, std::memory_order_relaxed);
  edits_.clear();
  callbacks_.clear();
  end_.store(End::kNobody, std::memory_order_relaxed);
  edit_status_ = 0;
  answer_.status = 0;
  answer_.headers.clear();
  answer_.author = {};
  answer_arena_.reset();
  arena_.reset();
}

}  // namespace bulkhead::exchange
