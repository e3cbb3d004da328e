// Answering from what is kept.
#pragma once

#include <string_view>

#include "bulkhead/plugin.hpp"
#include "entry.hpp"

namespace cache {

// [any] 304 where `known`, the caller's If-None-Match, has the entry's tag. `status`: instead of
// the entry's own Cache-Status.
void answer(const bulkhead::Host& host, const bulkhead::ExchangeView& ex, const EntryRef& entry, std::string_view known,
            std::string_view status = {});

}  // namespace cache
