#include "fetch.hpp"

#include <array>
#include <chrono>
#include <cstring>
#include <random>

#include "answer.hpp"
#include "bulkhead/text/fields.hpp"
#include "bulkhead/text/hex.hpp"
#include "digest.hpp"
#include "key.hpp"
#include "reply.hpp"

namespace cache {

using bulkhead::etag_matches;
using bulkhead::to_str;
using bulkhead::to_view;

namespace {

struct Release {
  void operator()(Ticket* ticket) const { intrusive_ptr_release(ticket); }
};
constexpr bulkhead::Attachment<Ticket> kTicket{"ticket"};
constexpr uint64_t kFiguresMs = 1000, kSecond = 1'000'000'000;

uint64_t wall_us() {
  using std::chrono::microseconds;
  return static_cast<uint64_t>(
      std::chrono::duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

// What the answer depends on beside the key: the step decides. If-None-Match hides
// If-Modified-Since (RFC 9110 §13.1.3).
bool has_other_conditions(const bulkhead::Request& request, bool tags) {
  return request.has_header("if-match") || request.has_header("if-unmodified-since") ||
         (!tags && request.has_header("if-modified-since"));
}

uint64_t wall_s() { return wall_us() / 1'000'000; }

// Answers a ticket that waited.
void answer(const bulkhead::Host& host, Ticket& ticket, const EntryRef& entry) {
  const bulkhead::Exchange ex = std::move(ticket.ex);
  answer(host, ex, entry, ticket.known, "bulkhead; fwd=miss; collapsed");
}

// Its own step is next.
void go_on(Ticket& ticket) { std::exchange(ticket.ex, {}).resume(); }

}  // namespace

Fetch::Fetch(const bulkhead::Host& host, Settings settings)
    : host_(host),
      settings_(std::move(settings)),
      id_(bulkhead::random_hex_id()),
      responses_(clock_, settings_.memory_bytes) {
  static constexpr std::array<std::string_view, 1> kResult = {"result"}, kOrigin = {"origin"};
  static constexpr std::array<std::string_view, kResults> kNames = {"hit", "shared", "miss", "joined", "bypass"};
  static constexpr std::array<std::string_view, 2> kOrigins = {"here", "elsewhere"};
  static constexpr std::array<double, 6> kLag = {.0005, .001, .005, .01, .1, 1};
  const uint32_t requests = host_.metric(BH_COUNTER, "cache_requests_total",
                                         "Requests by how the cache answered: hit in memory, shared level, miss, "
                                         "joined another's fetch, bypass while hosts cannot reach each other.",
                                         kResult);
  for (size_t i = 0; i < kResults; ++i) results_[i] = host_.series(requests, {&kNames[i], 1});
  const uint32_t changes = host_.metric(BH_COUNTER, "cache_invalidations_total",
                                        "Changes that invalidated cached responses, by where they were made.", kOrigin);
  for (size_t i = 0; i < kOrigins.size(); ++i) invalidations_[i] = host_.series(changes, {&kOrigins[i], 1});
  const auto lone = [&](uint32_t kind, std::string_view name, std::string_view help,
                        std::span<const double> buckets = {}) {
    return host_.series(host_.metric(kind, name, help, {}, buckets));
  };
  entries_ = lone(BH_GAUGE, "cache_entries", "Answers in memory.");
  bytes_ = lone(BH_GAUGE, "cache_bytes", "Bytes of the answers in memory.");
  evictions_ = lone(BH_COUNTER, "cache_evictions_total", "Responses evicted to make room.");
  up_ = lone(BH_GAUGE, "cache_coherent", "1 while hosts reach each other, 0 while the cache is bypassed.");
  lag_ = lone(BH_HISTOGRAM, "cache_invalidation_lag_seconds",
              "From a change on another host until this one knew of it, by both clocks.", kLag);
}

void Fetch::start() {
  figures_ = host_.every(kFiguresMs, [this] { tell_figures(); });
  try {
    settle_ns_ = bulkhead::Sql(host_).replica_lag_ms() * 1'000'000;
  } catch (const bulkhead::Failure&) {  // no database
  }
  const auto state = [this](bool up) { bus_state(up); };
  const auto told = [this](std::string_view text) { heard(text); };
  if (settings_.redis) {
    bus_state(false);
    second_level_ =
        std::make_unique<SecondLevel>(host_,
                                      SecondLevelSettings{settings_.redis_url, settings_.redis_timeout_ms,
                                                          settings_.service + ":cache", std::string(host_.version())},
                                      SecondLevel::Listener{state, told, [this] { return message({}, true); }});
    return second_level_->start();
  }
  try {
    std::string channel = settings_.service + "_cache";
    for (char& c : channel)
      c = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : '_';
    bus_state(false);
    bus_ = std::make_unique<NotifyBus>(
        host_, channel,
        NotifyBus::Listener{state, told, [this](std::span<const uint32_t> slots) { return message(slots, false); }});
  } catch (const bulkhead::Failure& failure) {
    if (failure.code != BH_E_UNAVAILABLE && failure.code != BH_E_UNSUPPORTED) throw;
    bus_state(true);  // no database, or SQLite: there is no other host
  }
}

void Fetch::quiesce() {
  coherent_ = false;
  if (bus_) bus_->flush();
}

void Fetch::stop() {
  if (second_level_) second_level_->stop();
  bus_.reset();
}

// ---------------------------------------------------------------- requests

bh_flow Fetch::prepare(const bulkhead::Request& request, const Route& route) {
  if (!coherent_.load(std::memory_order_acquire)) {
    count(kBypass);
    return BH_NEXT;
  }
  std::string known;
  const bool tags = request.has_header("if-none-match");
  if (tags) known = *request.header_list("if-none-match");
  if (has_other_conditions(request, tags)) return BH_NEXT;
  static thread_local std::string key;
  make_key(request, route.per_identity, &key);
  const uint64_t now = host_.now_ns();
  if (const EntryRef entry = responses_.find(key, known, now)) {
    count(kHit);
    answer(host_, request, entry, known);
    return BH_DONE;
  }
  // A step for HEAD of its own may have made no body.
  if (request.method() == "HEAD") return BH_NEXT;

  const TicketRef ticket(new Ticket);
  ticket->known = std::move(known);
  intrusive_ptr_add_ref(ticket.get());
  request.attach(kTicket, std::unique_ptr<Ticket, Release>(ticket.get()));
  struct End {
    Fetch* fetch;
    TicketRef ticket;
  };
  request.on_end(
      [](void* arg) {
        const std::unique_ptr<End> mine(static_cast<End*>(arg));
        mine->fetch->ended(*mine->ticket);
      },
      std::make_unique<End>(End{this, ticket}).release());
  ticket->ex = bulkhead::Exchange(request);
  Responses::Found found;
  try {
    found = responses_.find_or_join(key, now, ticket);
  } catch (...) {
    ticket->ex = {};
    throw;
  }
  if (found.entry) {
    count(kHit);
    ticket->ex = {};
    answer(host_, request, found.entry, ticket->known);
    return BH_DONE;
  }
  if (!found.leads) {
    count(kJoined);
    return BH_PENDING;
  }
  if (second_level_) return ask_second_level(ticket);
  count(kMiss);
  ticket->ex = {};
  return BH_NEXT;
}

bh_flow Fetch::ask_second_level(const TicketRef& ticket) {
  ticket->span = host_.span("GET", BH_SPAN_CLIENT, ticket->ex.handle());
  ticket->span.tag("db.system.name", "redis");
  ticket->span.tag("db.operation.name", "GET");
  ticket->span.tag("server.address", settings_.redis_url.host);
  ticket->span.tag("server.port", int64_t{settings_.redis_url.port});
  second_level_->get(sha256_hex(ticket->flight->key), [this, ticket](const Shared& shared) {
    ticket->shared_clock = shared.clock;
    ticket->span.tag("db.response.returned_rows", int64_t{shared.data.empty() ? 0 : 1});
    ticket->span.end(shared.clock == 0 ? BH_E_UNAVAILABLE : BH_OK);  // before the request may be over
    std::optional<Draft> draft;
    uint64_t made_s = 0;
    if (!shared.data.empty() && coherent_) draft = Draft::decode(shared.data, ticket->flight->key, &made_s);
    if (!draft) {
      count(kMiss);
      return go_on(*ticket);
    }
    count(kShared);
    draft->began_ns = ticket->began_ns;
    const uint64_t now_ns = host_.now_ns(), now_s = wall_s(), age_ns = now_s > made_s ? (now_s - made_s) * kSecond : 0;
    draft->expires_ns = now_ns + shared.ttl_ms * 1'000'000;
    draft->made_ns = now_ns > age_ns ? now_ns - age_ns : 0;
    const EntryRef entry = Entry::make(*draft);
    if (clock_.holds(entry->slots(), entry->began_ns())) responses_.put(entry);
    // It was asked before anything changed that is not in the answer.
    const bulkhead::Exchange ex = std::move(ticket->ex);
    answer(host_, ex, entry, ticket->known);
    serve_waiting(*ticket, entry);
  });
  return BH_PENDING;
}

void Fetch::respond(const bulkhead::Request& request, const Route& route) {
  const auto outcome = request.outcome();
  if (!outcome) return;
  if (outcome->author == host_.instance()) return;
  const TicketRef ticket = request.attached(kTicket);
  const bool leads = ticket && ticket->flight && responses_.leads(*ticket);
  const bool identified = route.per_identity && !request.attribute(BH_IDENTITY_SUBJECT).empty();
  const uint64_t lifetime = lifetime_ns(*outcome, {identified, request.has_header("authorization")}, route.ttl_ns);
  if (lifetime == 0) {
    if (leads) without_answer(*ticket, outcome->status >= 500);
    return;
  }
  if (request.method() == "HEAD" && outcome->body.empty() && outcome->field("etag").empty()) return;
  Draft draft = draft_of(*outcome, route);
  bool stored = false;
  if (leads) {
    draft.key = ticket->flight->key;
    draft.began_ns = ticket->began_ns;
    const uint64_t now = host_.now_ns();
    draft.made_ns = now - std::min(now, draft.age_ns);
    draft.expires_ns = now + lifetime;
    draft.slots.push_back(TagClock::slot(uri_tag(request.authority(), request.target())));
    const EntryRef entry = Entry::make(draft);
    stored = coherent_ && clock_.holds(draft.slots, draft.began_ns, settle_ns_);
    if (stored) {
      responses_.put(entry);
      if (second_level_ && ticket->shared_clock != 0 && !draft.validator_only)
        second_level_->set(sha256_hex(draft.key), ticket->shared_clock, slot_list(draft.slots), lifetime / 1'000'000,
                           draft.encode(wall_s() - draft.age_ns / kSecond));
    }
    serve_waiting(*ticket, entry);
  }
  decorate(request, draft,
           stored    ? "bulkhead; fwd=miss; stored"
           : leads   ? "bulkhead; fwd=miss"
           : !ticket ? "bulkhead; fwd=bypass"
                     : "bulkhead; fwd=miss; collapsed=?0");
}

// RFC 9111 §4.4: an unsafe request that was not refused makes untrue what is kept of its own URI,
// and of those of this origin that its answer names.
void Fetch::written(const bulkhead::Request& request) {
  if (request.method() == "OPTIONS" || request.method() == "TRACE") return;
  const auto outcome = request.outcome();
  if (!outcome) return;
  if (outcome->status < 200 || outcome->status >= 400) return;
  const std::string_view authority = request.authority();
  std::array<std::string, 3> tags = {uri_tag(authority, request.target())};
  size_t count = 1;
  for (const std::string_view name : {"location", "content-location"})
    if (const std::string_view target = same_origin_target(outcome->field(name), authority); !target.empty())
      tags[count++] = uri_tag(authority, target);
  std::array<bh_str, 3> views;
  for (size_t i = 0; i < count; ++i) views[i] = to_str(tags[i]);
  changed(views.data(), count);
}

void Fetch::decorate(const bulkhead::Request& request, const Draft& draft, std::string_view status) const {
  const std::string known = request.header_list("if-none-match").value_or("");
  const bool same = !draft.validator_only && !known.empty() && etag_matches(known, draft.etag, true);
  std::vector<bh_pair> fields;
  for (size_t i = 0; i < draft.headers.size(); ++i) {
    const auto& [name, value] = draft.headers[i];
    if (i >= draft.headers.size() - draft.added)
      fields.push_back({to_str(name), to_str(value)});
    else if (same && !kept_in_304(name))
      fields.push_back({to_str(name), {nullptr, 0}});
  }
  fields.push_back({to_str("cache-status"), to_str(status)});
  bulkhead::Change change{.fields = fields};
  if (same) {
    change.status = 304;
    change.body = "";
  }
  request.edit(std::move(change));
}

// ---------------------------------------------------------------- waiting tickets

// Answers those it fits; of the others one fetches again.
void Fetch::serve_waiting(Ticket& leader, const EntryRef& entry) {
  auto waiting = responses_.take(leader);
  if (!waiting) return;
  std::deque<TicketRef> rest;
  // Some came after it was read: they are not told what has changed before they came.
  const bool holds = coherent_ && clock_.holds(entry->slots(), leader.began_ns, settle_ns_);
  for (TicketRef& ticket : *waiting) {
    const bool fits =
        !entry->validator_only() || (!ticket->known.empty() && etag_matches(ticket->known, entry->etag(), true));
    if (holds && fits)
      answer(host_, *ticket, entry);
    else
      rest.push_back(std::move(ticket));
  }
  lead_next(*leader.flight, std::move(rest));
}

// One of them leads. None waits for a third fetch, nor for any while nothing is cached.
void Fetch::lead_next(Flight& flight, std::deque<TicketRef> waiting) {
  std::deque<TicketRef> again;
  for (TicketRef& ticket : waiting) {
    if (!coherent_ || std::exchange(ticket->passed_over, true))
      go_on(*ticket);
    else
      again.push_back(std::move(ticket));
  }
  if (const TicketRef next = responses_.hand_on(flight, std::move(again), host_.now_ns())) go_on(*next);
}

// After a failure the next one tries. An answer that cannot be cached is not shared.
void Fetch::without_answer(Ticket& leader, bool failed) {
  auto waiting = responses_.take(leader);
  if (!waiting) return;
  if (!failed) {
    for (const TicketRef& ticket : *waiting) go_on(*ticket);
    waiting->clear();
  }
  lead_next(*leader.flight, std::move(*waiting));
}

void Fetch::ended(Ticket& ticket) {
  if (ticket.flight && responses_.end(ticket)) without_answer(ticket, true);
}

// ---------------------------------------------------------------- changes

// The second level first: a read that begins once the local clock is set then asks Redis after the
// change.
void Fetch::changed(const bh_str* tags, size_t count) {
  std::vector<uint32_t> slots(count);
  for (size_t i = 0; i < count; ++i) slots[i] = TagClock::slot(to_view(tags[i]));
  if (second_level_) second_level_->changed(slot_list(slots), message(slots, false));
  if (bus_) bus_->changed(slots);
  const uint64_t now = host_.now_ns();
  for (const uint32_t slot : slots) clock_.changed(slot, now);
  host_.record(invalidations_[0], static_cast<double>(count));
}

void Fetch::all_changed() {
  if (second_level_) second_level_->missed();
  clock_.all_changed(host_.now_ns());
}

std::string Fetch::message(std::span<const uint32_t> slots, bool all) const {
  return Message{id_, wall_us(), all, {slots.begin(), slots.end()}}.write();
}

void Fetch::heard(std::string_view text) {
  const std::optional<Message> message = Message::read(text);
  const uint64_t now = host_.now_ns();
  if (!message) {
    host_.warn("received an invalid message; all cached responses are dropped", {{"text", text.substr(0, 100)}});
    return clock_.all_changed(now);
  }
  if (message->host == id_) return;
  if (message->all) clock_.all_changed(now);
  for (const uint32_t slot : message->slots) clock_.changed(slot, now);
  host_.record(invalidations_[1], static_cast<double>(message->slots.size()));
  const uint64_t wall = wall_us();
  host_.record(lag_, wall > message->sent_us ? static_cast<double>(wall - message->sent_us) * 1e-6 : 0);
}

void Fetch::bus_state(bool up) {
  if (up) clock_.all_changed(host_.now_ns());
  coherent_.store(up, std::memory_order_release);
  host_.record(up_, up ? 1 : 0);
  if (up)
    host_.health(BH_READY);
  else
    host_.health(BH_DEGRADED, "hosts cannot reach each other: the cache is bypassed");
}

void Fetch::tell_figures() {
  const Responses::Figures figures = responses_.figures();
  host_.record(entries_, static_cast<double>(figures.entries));
  host_.record(bytes_, static_cast<double>(figures.bytes));
  host_.record(evictions_, static_cast<double>(figures.evictions - evictions_told_));
  evictions_told_ = figures.evictions;
}

}  // namespace cache
