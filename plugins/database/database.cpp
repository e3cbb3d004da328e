// The database plugin: SOCI sessions behind the service bh.sql.
#include <strings.h>

#include <algorithm>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "bulkhead/extensions/notes.h"
#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.h"
#include "database_config.hpp"
#include "database_embedded.hpp"
#include "pool.hpp"
#include "postgresql/listener.hpp"
#include "postgresql/passfile.hpp"
#include "url.hpp"

namespace database {

namespace {

using database_config::Config;

// The places of a configuration that name a database.
struct Place {
  std::string pointer;
  std::string_view url;  // the configuration's
};

Place main_place(const Config& config) { return {"/url", config.url}; }
Place direct_place(const Config& config) { return {"/direct_url", config.direct_url}; }
Place replica_place(const Config& config, size_t i) { return {"/replicas/" + std::to_string(i), config.replicas[i]}; }

std::vector<Place> places_of(const Config& config) {
  std::vector<Place> places{main_place(config)};
  if (!config.direct_url.empty()) places.push_back(direct_place(config));
  for (size_t i = 0; i < config.replicas.size(); ++i) places.push_back(replica_place(config, i));
  return places;
}

// The URL, with the password that goes with it. Throws where it is none.
Url read_url(const Config& config, const Place& place) {
  Url url;
  if (const std::string wrong = parse_url(place.url, &url); !wrong.empty())
    throw bulkhead::Failure(BH_E_CONFIG, place.pointer + ": " + wrong);
  if (url.password.empty() && url.backend->server) url.password = config.password;
  return url;
}

void forget(std::string* password) {
  ::explicit_bzero(password->data(), password->size());
  password->clear();
}

SessionSettings read_session(const Config& config, const Place& place, const std::stop_token& stopping) {
  SessionSettings session;
  session.stopping = stopping;
  session.url = read_url(config, place);
  session.statement_timeout_ms = config.statement_timeout_ms;
  session.connect_timeout_s = config.connect_timeout_s;
  session.application_name = config.service;
  if (std::string& password = session.url.password; !password.empty()) {
    session.passfile = std::make_shared<Passfile>(password);
    forget(&password);
  }
  return session;
}

PoolSettings read_settings(const Config& config, const std::stop_token& stopping) {
  PoolSettings settings;
  settings.session = read_session(config, main_place(config), stopping);
  const Backend& backend = *settings.session.url.backend;
  const size_t usual_min = backend.usual_min, usual_max = backend.usual_max;
  settings.min = config.pool.min.value_or(std::min<size_t>(usual_min, config.pool.max.value_or(usual_max)));
  settings.max = config.pool.max.value_or(std::max(settings.min, usual_max));
  if (settings.min > settings.max) throw bulkhead::Failure(BH_E_CONFIG, "/pool: min is greater than max");
  settings.queue = config.queue;
  settings.batch = config.batch;
  settings.wait_timeout_ms = config.wait_timeout_ms;
  settings.service = config.service;
  settings.replica_lag_ms = config.replica_lag_ms;
  if (!config.direct_url.empty()) {
    settings.direct = read_session(config, direct_place(config), stopping);
    settings.session.pooled = true;
  }
  for (size_t i = 0; i < config.replicas.size(); ++i) {
    settings.replicas.push_back(read_session(config, replica_place(config, i), stopping));
    settings.replicas.back().pooled = settings.session.pooled;
    settings.replicas.back().rows_written = settings.session.rows_written;
  }
  const auto elsewhere = [](const SessionSettings& session) { return !session.url.backend->server; };
  if ((!backend.server && (settings.direct || !settings.replicas.empty())) ||
      (settings.direct && elsewhere(*settings.direct)) ||
      std::any_of(settings.replicas.begin(), settings.replicas.end(), elsewhere))
    throw bulkhead::Failure(BH_E_CONFIG, "/direct_url and /replicas require PostgreSQL, also in /url");
  return settings;
}

// The configuration with the parts of each URL but for its password.
bulkhead::Json without_passwords(const bulkhead::Json& config) {
  bulkhead::Json plain = config;
  const Config typed = config;
  for (const Place& place : places_of(typed)) {
    Url url = read_url(typed, place);
    plain[bulkhead::Json::json_pointer(place.pointer)] = {
        {"keywords", url.keywords}, {"path", url.path}, {"has_password", !url.password.empty()}};
    forget(&url.password);
  }
  plain.erase("password");
  return plain;
}

}  // namespace

class Database : public bulkhead::Plugin {
 public:
  Database(bulkhead::Host h, const bulkhead::Json& config)
      : Plugin(h),
        config_(without_passwords(config)),
        pool_(h, read_settings(config, stopping_.get_token())),
        listener_(h, pool_.settings().direct ? *pool_.settings().direct : pool_.settings().session) {
    api_.dialect = pool_.settings().session.url.backend->dialect;
    api_.submit = [](void* self, const bh_sql_query* q, bh_error* err) {
      return guarded(err, [&] { return pool(self).submit(*q, err); });
    };
    api_.transact = [](void* self, const bh_sql_transaction* t, bh_error* err) {
      return guarded(err, [&] { return pool(self).transact(*t, err); });
    };
    api_.migrate = [](void* self, const bh_sql_migrations* m, bh_error* err) {
      return guarded(err, [&] { return pool(self).migrate(*m, err); });
    };
    api_.lookup = [](void* self, const bh_sql_lookup* l, bh_error* err) {
      return guarded(err, [&] { return pool(self).lookup(*l, err); });
    };
    api_.listen = [](void* self, const bh_sql_listener* l, bh_error* err) {
      return guarded(err, [&]() -> bh_status {
        if (!pool(self).settings().session.url.backend->server)
          return bulkhead::set_error(err, BH_E_UNSUPPORTED, "SQLite has no notifications");
        return static_cast<Database*>(self)->listener_.add(*l, err);
      });
    };
    api_.execute = execute;
    api_.replica_lag_ms = pool_.replica_lag_ms();
    h.publish(BH_SQL_ID, BH_SQL_VERSION, &api_, this);
    command("migrate", "", "Applies the migrations of all plugins and lists them.",
            [this](bulkhead::Arguments arguments, const bulkhead::Print& print) { migrate(arguments, print); });
  }

  void start() override { pool_.start(); }

  // A password may change while sessions are open: they stay, new ones show the new one.
  void configure(const bulkhead::Json& config) override {
    if (without_passwords(config) != config_)
      throw bulkhead::Failure(BH_E_RESTART, "only passwords change while it runs");
    const PoolSettings& settings = pool_.settings();
    const Config typed = config;
    for (const Place& place : places_of(typed)) {
      const std::string& pointer = place.pointer;
      const bool replica = pointer.starts_with("/replicas/");
      const SessionSettings& session = replica                    ? settings.replicas[std::stoul(pointer.substr(10))]
                                       : pointer == "/direct_url" ? *settings.direct
                                                                  : settings.session;
      Url url = read_url(typed, place);
      if (session.passfile && !session.passfile->holds(url.password)) session.passfile->replace(url.password);
      forget(&url.password);
    }
  }
  void quiesce() override {
    stopping_.request_stop();
    listener_.stop();
    pool_.quiesce();
  }
  void stop() override { pool_.stop(); }

  const void* extension(std::string_view id) override {
    static constexpr bh_notes kNotes{sizeof(bh_notes), 0, [](void* self, void (*note)(void*, bh_str), void* arg) {
                                       const auto* plugin =
                                           static_cast<const Database*>(static_cast<bulkhead::Plugin*>(self));
                                       note(arg, bulkhead::to_str(plugin->pool_.settings().session.url.display));
                                     }};
    return id == BH_NOTES_ID ? &kNotes : nullptr;
  }

 private:
  static Pool& pool(void* self) { return static_cast<Database*>(self)->pool_; }

  template <typename Body>
  static bh_status guarded(bh_error* err, Body body) noexcept {
    try {
      return body();
    } catch (const std::exception& error) {
      return bulkhead::set_error(err, BH_E_INTERNAL, error.what());
    }
  }

  static bh_status execute(bh_sql_session* handle, const bh_sql_query* query, bh_sql_result* out) {
    Session& session = *Session::of(handle);
    bulkhead::Span span;
    if (session.traced.spans != nullptr)
      span = session.traced.spans->begin(nullptr, bulkhead::to_view(query->sql), session.traced.parent);
    session.last() = session.execute(*query);
    QuerySpans::end(span, session.last());
    const Outcome& outcome = session.last();
    out->status = outcome.status;
    out->affected = outcome.affected;
    out->rows = outcome.rows;
    out->sqlstate = bulkhead::to_str(outcome.sqlstate);
    out->message = bulkhead::to_str(outcome.message);
    return outcome.status;
  }

  void migrate(bulkhead::Arguments arguments, const bulkhead::Print& print) {
    if (!arguments.empty()) throw std::invalid_argument("takes no arguments");
    static constexpr uint32_t kWaitMs = 30'000;
    if (const std::string wrong = pool_.wait_migrated(kWaitMs); !wrong.empty())
      throw bulkhead::Failure(BH_E_UNAVAILABLE, wrong);
    for (const Migrations::Set& set : pool_.migrations().sets())
      for (const Migrations::Step& step : set.steps)
        print(set.owner + " " + std::to_string(step.version) + " " + step.name + ": applied\n");
  }

  const bulkhead::Json config_;  // without passwords
  std::stop_source stopping_;
  Pool pool_;
  Listener listener_;
  bh_sql api_ = bulkhead::sized<bh_sql>();
};

constexpr bh_need kOffers[] = {bulkhead::service(BH_SQL_ID, BH_SQL_VERSION)};

}  // namespace database

BULKHEAD_PLUGIN(database::Database, "database", "1.0.0", "SQL on PostgreSQL or SQLite for other plugins (bh.sql).",
                .schema = database_embedded::schema_json, .offers = database::kOffers)
