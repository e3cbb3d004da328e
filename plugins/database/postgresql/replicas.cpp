#include "postgresql/replicas.hpp"

#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "postgresql/conninfo.hpp"

namespace database {

namespace {

constexpr int kPatienceMs = 1000;
constexpr const char* kWritten = "select pg_current_wal_lsn() - '0/0'::pg_lsn";
// Nothing where it is a primary itself by now.
constexpr const char* kReplayed = "select pg_last_wal_replay_lsn() - '0/0'::pg_lsn where pg_is_in_recovery()";

// A connection that is opened when something is asked, and anew after a failure.
class Position {
 public:
  explicit Position(const SessionSettings& settings) : settings_(settings) {}

  // False, and why.
  bool ask(const char* sql, uint64_t* position, std::string* why) {
    if (!connection_) {
      const Conninfo server = conninfo(settings_);
      *why = server.unknown;
      if (server.text.empty()) return false;
      connection_.reset(PQconnectdb(server.text.c_str()));
    }
    const std::string_view text = first_cell(sql, why);
    if (std::from_chars(text.data(), text.data() + text.size(), *position).ec == std::errc()) return true;
    std::replace(why->begin(), why->end(), '\n', ' ');
    result_.reset();
    connection_.reset();
    return false;
  }

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  // A server that hangs delays the others for a moment at most.
  std::string_view first_cell(const char* sql, std::string* why) {
    PGconn* connection = connection_.get();
    bool good = PQsendQuery(connection, sql) == 1;
    while (good && PQisBusy(connection) == 1) {
      pollfd socket{PQsocket(connection), POLLIN, 0};
      if (::poll(&socket, 1, kPatienceMs) == 0) {
        *why = "it does not answer";
        return {};
      }
      good = PQconsumeInput(connection) == 1;
    }
    result_.reset(good ? PQgetResult(connection) : nullptr);
    const bool answered = PQresultStatus(result_.get()) == PGRES_TUPLES_OK;
    *why = answered ? "it is no replica" : PQerrorMessage(connection);
    while (PGresult* rest = good ? PQgetResult(connection) : nullptr) PQclear(rest);
    return answered && PQntuples(result_.get()) == 1 ? PQgetvalue(result_.get(), 0, 0) : std::string_view();
  }

  const SessionSettings& settings_;
  std::unique_ptr<PGconn, Finish> connection_;
  std::unique_ptr<PGresult, Clear> result_;
};

}  // namespace

Replicas::Replicas(const bulkhead::Host& host, const SessionSettings& primary,
                   const std::vector<SessionSettings>& replicas, uint32_t lag_ms, std::function<void(size_t)> gone)
    : host_(host),
      primary_(primary),
      settings_(replicas),
      lag_ns_(uint64_t{lag_ms} * 1'000'000),
      interval_ms_(std::clamp(lag_ms / 4, 10u, 250u)),
      gone_(std::move(gone)),
      nodes_(replicas.size()) {
  static constexpr std::array<std::string_view, 1> kLabel = {"replica"};
  const uint32_t lag = host_.metric(BH_GAUGE, "db_replica_lag_seconds",
                                    "Replication lag: age of the last position seen replayed.", kLabel);
  const uint32_t usable = host_.metric(BH_GAUGE, "db_replica_usable", "1 where the replica may answer reads.", kLabel);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].name = replicas[i].url.display;
    const std::string_view name = nodes_[i].name;
    nodes_[i].lag_series = host_.series(lag, {&name, 1});
    nodes_[i].usable_series = host_.series(usable, {&name, 1});
  }
}

void Replicas::start() {
  primary_thread_ = std::thread([this] { watch_primary(); });
  pthread_setname_np(primary_thread_.native_handle(), "bh-db-primary");
  for (size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].thread = std::thread([this, i] { watch(i); });
    pthread_setname_np(nodes_[i].thread.native_handle(), "bh-db-replica");
  }
}

void Replicas::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (primary_thread_.joinable()) primary_thread_.join();
  for (Node& node : nodes_)
    if (node.thread.joinable()) node.thread.join();
}

bool Replicas::pause() {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, std::chrono::milliseconds(interval_ms_), [this] { return stopping_; });
}

void Replicas::watch_primary() {
  Position primary(primary_);
  std::string why;
  do {
    const uint64_t now = host_.now_ns();
    uint64_t position = 0;
    if (!primary.ask(kWritten, &position, &why)) continue;  // its replicas age
    const std::lock_guard lock(mutex_);
    samples_.push_back({now, position});
    while (samples_.front().at_ns + lag_ns_ < now) samples_.pop_front();
  } while (pause());
}

void Replicas::watch(size_t replica) {
  Node& node = nodes_[replica];
  Position position(settings_[replica]);
  std::string why;
  do {
    uint64_t replayed = 0, fresh = 0;
    const bool answers = position.ask(kReplayed, &replayed, &why);
    if (answers) {
      // One that has crashed comes back with less than it had.
      const std::lock_guard lock(mutex_);
      const auto seen = std::find_if(samples_.rbegin(), samples_.rend(),
                                     [&](const Sample& sample) { return sample.position <= replayed; });
      if (seen != samples_.rend()) fresh = seen->at_ns;
      why = "it lags";
    }
    node.fresh_ns.store(fresh, std::memory_order_release);
    tell(replica, why);
    if (!answers) gone_(replica);
  } while (pause());
}

void Replicas::tell(size_t replica, const std::string& why) {
  Node& node = nodes_[replica];
  const uint64_t at = node.fresh_ns, now = host_.now_ns();
  const bool usable = fresh(replica, now);
  if (at != 0) host_.record(node.lag_series, static_cast<double>(now - std::min(at, now)) * 1e-9);
  host_.record(node.usable_series, usable ? 1 : 0);
  if (usable == node.usable) return;
  node.usable = usable;
  if (usable)
    host_.info("replica answers reads", {{"url", node.name}});
  else
    host_.warn("replica left out", {{"url", node.name}, {"reason", why}});
}

}  // namespace database
