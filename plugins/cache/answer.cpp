#include "answer.hpp"

#include "bulkhead/fields.hpp"
#include "tag_clock.hpp"

namespace cache {

using bulkhead::lowered;
using bulkhead::to_view;
using bulkhead::trim_ows;

namespace {

// Calls `each` for the items of a list, in lower case; false where one of the calls says so.
template <typename Each>
bool all_items(std::string_view list, Each each) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string item = lowered(trim_ows(list.substr(0, comma)));
    if (!item.empty() && !each(item)) return false;
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return true;
}

// Accept-Encoding is the business of who compresses, behind this.
bool varies_with_the_key(const std::string& name, bool identified) {
  return name == "accept" || name == "prefer" || name == "range" || name == "accept-encoding" ||
         (name == "authorization" && identified);
}

}  // namespace

std::string_view field(const bh_outcome& outcome, std::string_view name) {
  for (size_t i = 0; i < outcome.header_count; ++i)
    if (to_view(outcome.headers[i].name) == name) return to_view(outcome.headers[i].value);
  return {};
}

bool may_be_kept(const bh_outcome& outcome, bool per_identity, bool identified) {
  if (outcome.status != 200 && !(outcome.status == 304 && !field(outcome, "etag").empty())) return false;
  bool tagged = false;
  for (size_t i = 0; i < outcome.header_count; ++i) {
    const std::string_view name = to_view(outcome.headers[i].name), value = to_view(outcome.headers[i].value);
    if (name == "surrogate-key") tagged = tagged || !trim_ows(value).empty();
    if (name == "set-cookie" || name == "content-encoding" || (name == "etag" && value.starts_with("W/"))) return false;
    if (name == "cache-control" && !all_items(value, [&](const std::string& directive) {
          return directive != "no-store" && (per_identity || !directive.starts_with("private"));
        }))
      return false;
    if (name == "vary" &&
        !all_items(value, [&](const std::string& other) { return varies_with_the_key(other, identified); }))
      return false;
  }
  return tagged;
}

Draft draft_of(const bh_outcome& outcome, const Route& route) {
  Draft draft;
  draft.validator_only = outcome.status == 304;
  draft.etag = field(outcome, "etag");
  draft.body = to_view(outcome.body);
  bool controlled = false;
  for (size_t i = 0; i < outcome.header_count; ++i) {
    const std::string_view name = to_view(outcome.headers[i].name), value = to_view(outcome.headers[i].value);
    if (name != "surrogate-key") {
      draft.headers.emplace_back(name, value);
      controlled = controlled || name == "cache-control";
      continue;
    }
    for (std::string_view tags = trim_ows(value); !tags.empty();) {
      const size_t space = tags.find(' ');
      if (space != 0) draft.slots.push_back(TagClock::slot(tags.substr(0, space)));
      tags.remove_prefix(space == std::string_view::npos ? tags.size() : space + 1);
    }
  }
  if (draft.etag.empty()) {
    draft.etag = etag_of(draft.body);
    draft.headers.emplace_back("etag", draft.etag);
    ++draft.added;
  }
  if (!controlled) {
    draft.headers.emplace_back("cache-control", route.cache_control);
    ++draft.added;
  }
  return draft;
}

}  // namespace cache
