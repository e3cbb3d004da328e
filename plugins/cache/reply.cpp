#include "reply.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <vector>

#include "bulkhead/text/fields.hpp"

namespace cache {

using bulkhead::etag_matches;
using bulkhead::to_str;

void answer(const bulkhead::Host& host, const bulkhead::ExchangeView& ex, const EntryRef& entry, std::string_view known,
            std::string_view status) {
  const bool same = !known.empty() && etag_matches(known, entry->etag(), true);
  const std::span<const bh_pair> kept = same ? entry->fields_304() : entry->fields();
  std::array<bh_pair, 24> few;
  std::vector<bh_pair> many;
  std::span<bh_pair> fields(few.data(), std::min(kept.size(), few.size()));
  if (kept.size() > few.size()) {
    many.resize(kept.size());
    fields = many;
  }
  std::copy(kept.begin(), kept.end(), fields.begin());
  char age[20];
  const char* const end = std::to_chars(age, age + sizeof age, entry->age_s(host.now_ns())).ptr;
  fields[fields.size() - 2].value = {age, static_cast<size_t>(end - age)};
  if (!status.empty()) fields.back().value = to_str(status);
  bulkhead::LentAnswer lent{.status = same ? 304 : 200, .fields = fields};
  if (!same) {
    lent.body = entry->body();
    intrusive_ptr_add_ref(entry.get());
    lent.release = [](void* arg) { intrusive_ptr_release(static_cast<const Entry*>(arg)); };
    lent.arg = const_cast<Entry*>(entry.get());
  }
  ex.send(lent);
}

}  // namespace cache
