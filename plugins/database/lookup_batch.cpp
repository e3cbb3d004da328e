#include "lookup_batch.hpp"

#include <algorithm>
#include <charconv>

#include "bulkhead/plugin.hpp"

namespace database {

using bulkhead::to_str;
using bulkhead::to_view;

namespace {

std::string text_of(const bh_value& value) {
  if (value.kind != BH_INT) return std::string(to_view(value.as.s));
  char digits[24];
  return {digits, std::to_chars(digits, digits + sizeof digits, value.as.i).ptr};
}

}  // namespace

std::string LookupBatch::check(const bh_sql_lookup& lookup) {
  if (!BH_HAS(&lookup, arg) || lookup.done == nullptr) return "the lookup has no done, or its size is not set";
  if (to_view(lookup.sql).empty() || to_view(lookup.key_column).empty()) return "the lookup has no text or key column";
  if (lookup.key.kind != BH_TEXT && lookup.key.kind != BH_INT) return "a lookup's key is BH_TEXT or BH_INT";
  if (lookup.column_count == 0 || lookup.columns[0] != lookup.key.kind) return "a lookup's first column is its key";
  return {};
}

LookupBatch::LookupBatch(const bh_sql_lookup& first, const Backend& backend, bulkhead::Span span)
    : backend_(backend),
      source_(to_view(first.sql)),
      key_column_(to_view(first.key_column)),
      key_type_(to_view(first.key_type)),
      key_kind_(first.key.kind),
      columns_(first.columns, first.columns + first.column_count) {
  sql_ = source_ + " and " + key_column_ + backend.keys_condition(key_type_);
  add(first, std::move(span));
}

bool LookupBatch::takes(const bh_sql_lookup& lookup) const {
  return to_view(lookup.sql) == source_ && to_view(lookup.key_column) == key_column_ &&
         to_view(lookup.key_type) == key_type_ && lookup.key.kind == key_kind_ &&
         std::equal(columns_.begin(), columns_.end(), lookup.columns, lookup.columns + lookup.column_count);
}

void LookupBatch::add(const bh_sql_lookup& lookup, bulkhead::Span span) {
  members_.push_back(
      {text_of(lookup.key), lookup.row, lookup.done, lookup.arg, lookup.ex, lookup.deadline_ns, std::move(span)});
  deadline_ns = std::max(deadline_ns, lookup.deadline_ns);  // of the one that may wait longest
}

bool LookupBatch::expire(uint64_t now_ns, const std::function<bool(bh_exchange*)>& left, Outcome* /*why*/) {
  const auto over = std::stable_partition(members_.begin(), members_.end(), [&](const Member& member) {
    return member.deadline_ns >= now_ns && !left(member.ex);
  });
  for (auto it = over; it != members_.end(); ++it) {
    it->outcome = it->deadline_ns < now_ns ? unavailable("waited too long for a session") : caller_left();
    it->tell();
  }
  members_.erase(over, members_.end());
  return members_.empty();
}

bh_status LookupBatch::deliver(const bh_value* cells, size_t n, size_t begin, size_t end) {
  const std::string number = key_kind_ == BH_INT ? text_of(cells[0]) : std::string();
  const std::string_view key = key_kind_ == BH_INT ? std::string_view(number) : to_view(cells[0].as.s);
  const auto first = std::lower_bound(
      members_.begin() + static_cast<std::ptrdiff_t>(begin), members_.begin() + static_cast<std::ptrdiff_t>(end), key,
      [](const Member& member, std::string_view wanted) { return member.key < wanted; });
  for (auto it = first; it != members_.begin() + static_cast<std::ptrdiff_t>(end) && it->key == key; ++it) {
    ++it->outcome.rows;
    if (it->row == nullptr || it->outcome.status != BH_OK) continue;
    it->outcome.status = it->row(it->arg, cells, n);
  }
  return BH_OK;
}

Outcome LookupBatch::ask(Session& session, size_t begin, size_t end) {
  struct Call {
    LookupBatch* batch;
    size_t begin, end;
  } call{this, begin, end};
  std::vector<std::string_view> keys;
  for (size_t i = begin; i < end; ++i)
    if (i == begin || members_[i].key != members_[i - 1].key) keys.push_back(members_[i].key);
  const std::string list = backend_.keys_list(keys, key_kind_ == BH_TEXT);
  bh_value value{BH_TEXT, 0, {0}};
  value.as.s = to_str(list);
  bh_sql_query query = bulkhead::sized<bh_sql_query>();
  query.flags = BH_SQL_READ;
  query.sql = to_str(sql_);
  query.values = &value;
  query.value_count = 1;
  query.columns = columns_.data();
  query.column_count = columns_.size();
  query.arg = &call;
  query.row = [](void* arg, const bh_value* cells, size_t n) {
    const Call& c = *static_cast<Call*>(arg);
    return c.batch->deliver(cells, n, c.begin, c.end);
  };
  return session.execute(query);
}

Outcome LookupBatch::run(Session& session, bool of_primary) {
  for (Member& member : members_) member.outcome = {};
  std::stable_sort(members_.begin(), members_.end(), [](const Member& a, const Member& b) { return a.key < b.key; });
  Outcome whole = ask(session, 0, members_.size());
  if (whole.status == BH_OK) return whole;
  // No key is at fault where the database is gone or too slow, and the others have waited long
  // enough.
  if (whole.lost || whole.status == BH_E_TIMEOUT || whole.status == BH_E_UNAVAILABLE || members_.size() == 1 ||
      !of_primary) {
    for (Member& member : members_)
      if (member.outcome.rows == 0) member.outcome = whole;
    return whole;
  }
  Outcome first;  // that failed
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].outcome.rows != 0) continue;  // it has its row already
    Outcome one = ask(session, i, i + 1);
    if (one.status == BH_OK) continue;
    members_[i].outcome = one;
    if (first.status == BH_OK) first = one;
    if (!one.lost && one.status != BH_E_TIMEOUT) continue;
    for (++i; i < members_.size(); ++i)
      if (members_[i].outcome.rows == 0) members_[i].outcome = one;
    return one;
  }
  return first;
}

bool LookupBatch::untouched(const Outcome& /*outcome*/) const {
  return std::all_of(members_.begin(), members_.end(), [](const Member& member) { return member.outcome.rows == 0; });
}

void LookupBatch::Member::tell() {
  QuerySpans::end(span, outcome);
  const bh_sql_result result = result_of(outcome);
  done(arg, &result);
}

void LookupBatch::finish(const Outcome& /*outcome*/) {
  const std::string leader = members_.size() > 1 ? members_.front().span.context() : std::string();
  for (Member& member : members_) {
    QuerySpans::batched(member.span, members_.size(), &member == &members_.front() ? "" : leader);
    member.tell();
  }
}

void LookupBatch::refuse(const Outcome& outcome) {
  for (Member& member : members_) member.outcome = outcome;
  finish(outcome);
}

}  // namespace database
