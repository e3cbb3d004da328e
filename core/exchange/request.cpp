#include "core/exchange/request.hpp"

#include <cstring>
#include <utility>

#include "bulkhead/attributes.h"
#include "core/exchange/home.hpp"

namespace bulkhead::exchange {

const bh_request* Request::blanked(bool authorization, bool cookie) {
  const unsigned hide = (has_authorization && authorization ? 1u : 0u) | (has_cookie && cookie ? 2u : 0u);
  if (hide == 0) return this;
  Variant& variant = variants_[hide - 1];
  if (!variant.made) {
    variant.view = *this;
    variant.fields = fields;
    for (bh_pair& field : variant.fields) {
      const std::string_view name = to_view(field.name);
      if (((hide & 1) != 0 && (name == BH_HEADER_AUTHORIZATION || name == BH_HEADER_API_KEY)) ||
          ((hide & 2) != 0 && name == BH_HEADER_COOKIE))
        field.value = to_str("");
    }
    variant.view.headers = variant.fields.data();
    variant.made = true;
  } else if (variant.view.route.ptr != route.ptr || variant.view.body.ptr != body.ptr) {
    variant.view.route = route;
    variant.view.deadline_ns = deadline_ns;
    variant.view.params = params;
    variant.view.param_count = param_count;
    variant.view.body = body;
  }
  return &variant.view;
}

void Request::set_trace(const uint8_t (&trace)[16], const uint8_t (&span)[8], uint32_t w3c_flags) {
  if (!traced()) {
    std::memcpy(trace_id, trace, sizeof trace);
    std::memcpy(span_id, span, sizeof span);
    for (Variant& variant : variants_) {
      std::memcpy(variant.view.trace_id, trace, sizeof trace);
      std::memcpy(variant.view.span_id, span, sizeof span);
    }
  }
  trace_state_.store((w3c_flags & ~kTraced) | kTraced, std::memory_order_release);
}

void Request::clear(Home& home) {
  static_cast<bh_request&>(*this) = {};
  fields.clear();
  match_path = {};
  has_authorization = has_cookie = body_coded = false;
  body_complete = true;
  if (body_text.capacity() > runtime::Slab::kStandard) body_text = std::string();
  body_text.clear();
  home.give_slab(std::move(head_slab));
  home.give_slab(std::move(body_slab));
  if (body_charge != 0) home.body_released(std::exchange(body_charge, 0));
  bytes = 0;
  for (Variant& variant : variants_) variant.made = false;
  trace_state_.store(0, std::memory_order_relaxed);
  arena_.reset();
}

}  // namespace bulkhead::exchange
