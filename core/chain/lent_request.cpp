#include "core/chain/lent_request.hpp"

#include <array>

#include "core/runtime/checks.hpp"

namespace bulkhead::chain {

namespace {

constexpr std::array kTexts = {&bh_request::method, &bh_request::target,    &bh_request::path, &bh_request::query,
                               &bh_request::scheme, &bh_request::authority, &bh_request::body, &bh_request::route,
                               &bh_request::peer,   &bh_request::socket,    &bh_request::id};

}  // namespace

LentRequest::LentRequest(const bh_request& from)
    : view_(from),
      headers_(from.headers, from.headers + from.header_count),
      params_(from.params, from.params + from.param_count) {
  size_t size = 0;
  for (const auto text : kTexts) size += (view_.*text).len;
  for (const auto* pairs : {&headers_, &params_})
    for (const bh_pair& pair : *pairs) size += pair.name.len + pair.value.len;
  text_.reserve(size);
  for (const auto text : kTexts) view_.*text = copy(view_.*text);
  for (auto* pairs : {&headers_, &params_})
    for (bh_pair& pair : *pairs) pair = {copy(pair.name), copy(pair.value)};
  view_.headers = headers_.data();
  view_.params = params_.data();
}

bh_str LentRequest::copy(bh_str text) {
  if (text.len == 0) return text;
  const size_t at = text_.size();
  text_.insert(text_.end(), text.ptr, text.ptr + text.len);
  return {text_.data() + at, text.len};
}

void LentRequest::poison() { runtime::poison(text_.data(), text_.size()); }

}  // namespace bulkhead::chain
