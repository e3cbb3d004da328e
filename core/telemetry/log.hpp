// Log: one line a message, as JSON or readable text, written by a thread of its own. A full
// queue drops the oldest lines and counts them; no caller waits for a disk.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/services/log_sink.h"

namespace bulkhead::telemetry {

enum class Level : int { kTrace, kDebug, kInfo, kWarn, kError };
std::string_view level_name(Level level);
// False for anything but trace, debug, info, warn, error.
bool parse_level(std::string_view name, Level* level);

struct LogSettings {
  Level level = Level::kInfo;
  bool json = true;
  bool colour = false;  // of text: for a terminal
  std::string file;     // "" = standard error
  std::string service, version;
};

class Log {
 public:
  using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

  explicit Log(const LogSettings& settings);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // [any] All of them.
  void write(Level level, std::string_view message, const Fields& fields = {});
  bool enabled(Level level) const;
  Level level() const;
  void set_level(Level level);
  // Gets every line as well, on the thread that writes it.
  void set_sink(const bh_log_sink* api, void* self);
  void clear_sink();
  uint64_t dropped() const;
  // Closes and opens the file again, after a rotation. False if it cannot be opened; the old one
  // stays.
  bool reopen();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::telemetry
