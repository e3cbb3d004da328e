// Backend: a kind of database. Each is a folder here and a row in backend.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace database {

class Session;
struct SessionSettings;
struct Url;

struct Backend {
  int32_t dialect;           // as plugins are told: BH_SQL_POSTGRESQL, ...
  std::string_view system;   // as spans are told: OpenTelemetry's db.system.name
  std::string_view schemes;  // of its URLs, separated by blanks

  // What follows the scheme. Empty on success, else what is wrong; never the password.
  std::string (*parse_url)(std::string_view rest, Url* url);
  std::unique_ptr<Session> (*make_session)(const SessionSettings& settings);

  bool server;      // on a network: it may hang, have replicas, stand behind a pooler, and notify
  bool one_writer;  // one session writes, and others read beside it
  // Of writes by several callers, any may share a transaction. Otherwise inserts alone: two batches
  // that change the same rows in another order would wait for each other.
  bool any_writes_together;
  uint16_t usual_min, usual_max;  // sessions; of one_writer, those that read

  // Of a lookup: the condition behind the key column, with the list of keys as :keys.
  std::string (*keys_condition)(std::string_view key_type);
  // The list. `quoted`: the keys are text.
  std::string (*keys_list)(std::span<const std::string_view> keys, bool quoted);
  // In front of a migration, in its transaction: one host at a time, for as long as it takes.
  std::vector<std::string_view> (*migration_lock)();
};

// By the URL's scheme, which is cut off; null where none is known.
const Backend* find_backend(std::string_view* url);

}  // namespace database
