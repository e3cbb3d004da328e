#include "answer.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>

#include "bulkhead/text/fields.hpp"
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

// Accept-Encoding does not count: compression comes after the cache.
bool varies_with_the_key(const std::string& name, bool identified) {
  return name == "accept" || name == "prefer" || name == "range" || name == "accept-encoding" ||
         (name == "authorization" && identified);
}

}  // namespace

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// A count of seconds (§1.2.2), quoted or not; 0 for what is none, so that it counts as stale
// (§4.2.1).
uint64_t seconds(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return UINT32_MAX;
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

// What Cache-Control and Expires say.
struct Control {
  bool no_store = false, no_cache = false, is_private = false, shared = false;
  std::optional<uint64_t> max_age, s_maxage, expires;

  void read(std::string_view value) {
    all_items(value, [this](const std::string& directive) {
      const auto argument = [&] { return seconds(std::string_view(directive).substr(directive.find('=') + 1)); };
      if (directive == "no-store") no_store = true;
      if (directive == "no-cache" || directive.starts_with("no-cache=")) no_cache = true;
      if (directive == "private" || directive.starts_with("private=")) is_private = true;
      if (directive == "public" || directive == "must-revalidate") shared = true;
      if (directive.starts_with("max-age=") && !max_age) max_age = argument();
      if (directive.starts_with("s-maxage=") && !s_maxage) {
        s_maxage = argument();
        shared = true;
      }
      return true;
    });
  }
  // The seconds it stays fresh; nothing where it does not say (§4.2.1).
  std::optional<uint64_t> lifetime(bool for_all) const {
    if (for_all && s_maxage) return s_maxage;
    return max_age ? max_age : expires;
  }
};

// Seconds from now until an HTTP date (RFC 9110 §5.6.7); 0 for the past and for what is none.
uint64_t seconds_until(std::string_view date) {
  tm parts{};
  const std::string text(date);
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return 0;
  const time_t then = timegm(&parts), now = time(nullptr);
  return then > now ? static_cast<uint64_t>(then - now) : 0;
}

}  // namespace

uint64_t lifetime_ns(const bulkhead::Outcome& outcome, Caller caller, uint64_t most_ns) {
  if (outcome.status != 200 && !(outcome.status == 304 && !outcome.field("etag").empty())) return 0;
  bool tagged = false;
  Control control;
  uint64_t age = 0;
  for (const bh_pair& field : outcome.fields) {
    const std::string_view name = to_view(field.name), value = to_view(field.value);
    if (name == BH_HEADER_SURROGATE_KEY) tagged = tagged || !trim_ows(value).empty();
    if (name == "set-cookie" || name == "content-encoding" || (name == "etag" && value.starts_with("W/"))) return 0;
    if (name == "cache-control") control.read(value);
    if (name == "expires") control.expires = seconds_until(value);
    if (name == "age") age = seconds(value);
    if (name == "vary" &&
        !all_items(value, [&](const std::string& other) { return varies_with_the_key(other, caller.identified); }))
      return 0;
  }
  if (!tagged || control.no_store || control.no_cache) return 0;
  if (!caller.identified && (control.is_private || (caller.authorized && !control.shared))) return 0;
  const std::optional<uint64_t> said = control.lifetime(!caller.identified);
  if (!said) return most_ns;
  if (*said <= age) return 0;
  return *said - age > most_ns / kSecond ? most_ns : (*said - age) * kSecond;
}

std::string uri_tag(std::string_view authority, std::string_view target) {
  return std::string("uri ").append(authority).append(" ").append(target);
}

std::string_view same_origin_target(std::string_view location, std::string_view authority) {
  if (location.starts_with("//")) return {};
  if (location.starts_with('/')) return location;
  const size_t scheme = location.find("://");
  if (scheme == std::string_view::npos) return {};
  std::string_view rest = location.substr(scheme + 3);
  if (authority.empty() || !rest.starts_with(authority)) return {};
  rest.remove_prefix(authority.size());
  return rest.starts_with('/') ? rest : std::string_view();
}

Draft draft_of(const bulkhead::Outcome& outcome, const Route& route) {
  Draft draft;
  draft.validator_only = outcome.status == 304;
  draft.etag = outcome.field("etag");
  draft.body = outcome.body;
  bool controlled = false;
  for (const bh_pair& field : outcome.fields) {
    const std::string_view name = to_view(field.name), value = to_view(field.value);
    if (name == "age") {  // each answer has its own
      draft.age_ns = seconds(value) * kSecond;
      continue;
    }
    if (name != BH_HEADER_SURROGATE_KEY) {
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
