#include "core/exchange/answer.hpp"

#include <algorithm>

#include "bulkhead/text/words.hpp"
#include "bulkhead/value.hpp"

namespace bulkhead::exchange {

namespace {

std::string_view lowered(std::string_view name, runtime::Arena& arena) {
  char* p = arena.allocate(name.size());
  words::lower_into(name, p);
  return {p, name.size()};
}

}  // namespace

bool Answer::give(const bh_reply& reply, std::string_view author) {
  int expected = kOpen;
  if (!state_.compare_exchange_strong(expected, kClaimed, std::memory_order_acq_rel)) {
    if (reply.release != nullptr) reply.release(reply.arg);
    return false;
  }
  status_ = reply.status;
  author_ = author;
  for (size_t i = 0; i < reply.header_count; ++i)
    headers_.push_back({to_str(lowered(to_view(reply.headers[i].name), arena_)),
                        to_str(arena_.copy(to_view(reply.headers[i].value)))});
  release_ = reply.release;
  release_arg_ = reply.arg;
  body_ = release_ != nullptr ? to_view(reply.body) : arena_.copy(to_view(reply.body));
  state_.store(kSet, std::memory_order_release);
  return true;
}

bool Answer::give(int32_t status, std::string_view content_type, std::string_view body, std::string_view author,
                  std::span<const bh_pair> extra) {
  std::vector<bh_pair> fields(extra.begin(), extra.end());
  if (!content_type.empty()) fields.push_back({to_str("content-type"), to_str(content_type)});
  bh_reply reply{};
  reply.size = sizeof reply;
  reply.status = status;
  reply.headers = fields.data();
  reply.header_count = fields.size();
  reply.body = to_str(body);
  return give(reply, author);
}

void Answer::close() {
  int expected = kOpen;
  state_.compare_exchange_strong(expected, kClosed, std::memory_order_acq_rel);
}

template <typename Each>
void Answer::for_each_edit(const bh_reply& change, runtime::Arena& arena, Each each) {
  const bool append = (change.flags & BH_APPEND) != 0;
  for (size_t i = 0; i < change.header_count; ++i) {
    const bh_pair& header = change.headers[i];
    const bool remove = header.value.ptr == nullptr;
    each(Edit{lowered(to_view(header.name), arena), remove ? std::string_view() : arena.copy(to_view(header.value)),
              append && !remove, remove});
  }
}

void Answer::keep_edit(const bh_reply& change) {
  {
    const std::lock_guard lock(mutex_);
    for_each_edit(change, kept_arena_, [this](const Edit& edit) { kept_.push_back(edit); });
    if (change.status != 0) kept_status_ = change.status;
    has_kept_.store(true, std::memory_order_release);
  }
  if (change.release != nullptr) change.release(change.arg);
}

void Answer::edit(const bh_reply& change) {
  for_each_edit(change, arena_, [this](const Edit& edit) { apply(edit); });
  if (change.status != 0) status_ = change.status;
  if (change.body.ptr != nullptr) {
    drop_body();
    release_ = change.release;
    release_arg_ = change.arg;
    body_ = release_ != nullptr ? to_view(change.body) : arena_.copy(to_view(change.body));
  } else if (change.release != nullptr) {
    change.release(change.arg);
  }
}

void Answer::apply(const Edit& edit) {
  if (!edit.append)
    headers_.erase(std::remove_if(headers_.begin(), headers_.end(),
                                  [&](const bh_pair& f) { return to_view(f.name) == edit.name; }),
                   headers_.end());
  if (!edit.remove) headers_.push_back({to_str(edit.name), to_str(edit.value)});
}

void Answer::apply_kept_edits() {
  if (!has_kept_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  for (const Edit& edit : kept_) apply(edit);
  if (kept_status_ != 0) status_ = kept_status_;
  kept_.clear();
  kept_status_ = 0;
  has_kept_.store(false, std::memory_order_relaxed);
}

void Answer::drop_body() {
  if (release_ != nullptr) release_(release_arg_);
  release_ = nullptr;
  body_ = {};
}

void Answer::clear() {
  drop_body();
  status_ = 0;
  headers_.clear();
  author_ = {};
  arena_.reset();
  if (has_kept_.load(std::memory_order_relaxed)) {
    kept_.clear();
    kept_status_ = 0;
    has_kept_.store(false, std::memory_order_relaxed);
  }
  kept_arena_.reset();
  state_.store(kOpen, std::memory_order_relaxed);
}

}  // namespace bulkhead::exchange
