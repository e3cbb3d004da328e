#include "core/telemetry/log.hpp"

#include <fcntl.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <ctime>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bulkhead/text/ascii.hpp"
#include "bulkhead/value.hpp"

namespace bulkhead::telemetry {

namespace {

constexpr std::array<std::string_view, 5> kNames = {"trace", "debug", "info", "warn", "error"};
constexpr size_t kQueue = 4096;

std::string timestamp() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  tm parts{};
  gmtime_r(&t.tv_sec, &parts);
  char text[32];
  const size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  char whole[48];
  snprintf(whole, sizeof whole, "%.*s.%03ldZ", static_cast<int>(n), text, t.tv_nsec / 1'000'000);
  return whole;
}

// "2026-11-30T12:00:00.000Z info  message key=value"
std::string text_line(Level level, std::string_view message, const Log::Fields& fields, bool colour) {
  static constexpr std::string_view kDim = "\x1b[2m", kOff = "\x1b[0m";
  static constexpr std::array<std::string_view, 5> kLevels = {"\x1b[2m", "\x1b[36m", "\x1b[32m", "\x1b[33m",
                                                              "\x1b[31m"};
  const auto paint = [colour](std::string_view code) { return colour ? code : std::string_view(); };
  std::string line(paint(kDim));
  line.append(timestamp()).append(paint(kOff)).append(" ").append(paint(kLevels[static_cast<size_t>(level)]));
  line.append(level_name(level)).append(paint(kOff)).append(level_name(level).size() < 5 ? "  " : " ");
  append_printable(message, &line);
  for (const auto& [key, value] : fields) {
    line.append(" ").append(paint(kDim));
    append_printable(key, &line);
    line.append("=").append(paint(kOff));
    append_printable(value, &line);
  }
  return line;
}

// A descriptor that can be reopened. write(2) directly: a line is one call.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit DescriptorSink(std::string path) : path_(std::move(path)) {
    if (!path_.empty() && !open()) throw std::runtime_error("cannot open the log file " + path_);
  }
  ~DescriptorSink() override {
    if (!path_.empty()) ::close(fd_);
  }
  bool reopen() {
    const std::lock_guard lock(mutex_);
    return path_.empty() || open();
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const char* at = message.payload.data();
    size_t left = message.payload.size();
    while (left > 0) {
      const ssize_t n = ::write(fd_, at, left);
      if (n <= 0) return;  // a full disk loses lines, not requests
      at += n;
      left -= static_cast<size_t>(n);
    }
  }
  void flush_() override {}

 private:
  bool open() {
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) return false;
    if (fd_ != STDERR_FILENO) ::close(fd_);
    fd_ = fd;
    return true;
  }

  std::string path_;
  int fd_ = STDERR_FILENO;
};

}  // namespace

std::string_view level_name(Level level) { return kNames[static_cast<size_t>(level)]; }

bool parse_level(std::string_view name, Level* level) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] != name) continue;
    *level = static_cast<Level>(i);
    return true;
  }
  return false;
}

class Log::Impl {
 public:
  explicit Impl(const LogSettings& settings)
      : json(settings.json),
        colour(settings.colour),
        service(settings.service),
        version(settings.version),
        level(settings.level),
        sink(std::make_shared<DescriptorSink>(settings.file)),
        pool(std::make_shared<spdlog::details::thread_pool>(kQueue, 1)),
        logger(std::make_shared<spdlog::async_logger>("bulkhead", sink, pool,
                                                      spdlog::async_overflow_policy::overrun_oldest)) {
    logger->set_level(spdlog::level::trace);
  }
  // Writes what is queued, and ends the thread before the logger it does that for.
  ~Impl() { pool.reset(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const bool json, colour;
  const std::string service, version;
  std::atomic<Level> level;
  std::shared_ptr<DescriptorSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;

  struct Sink {
    const bh_log_sink* api;
    void* self;
  };
  void forward(Level line_level, std::string_view message, const Fields& fields) const {
    const Sink* to = forwarded.load(std::memory_order_acquire);
    if (to == nullptr) return;
    std::vector<bh_log_field> all;
    all.reserve(fields.size());
    for (const auto& [key, value] : fields) {
      bh_log_field& field = all.emplace_back();
      field.name = to_str(key);
      field.value.kind = BH_TEXT;
      field.value.as.s = to_str(value);
    }
    to->api->log(to->self, static_cast<int32_t>(line_level), to_str(message), all.data(), all.size());
  }

  std::atomic<const Sink*> forwarded{nullptr};
  std::mutex sinks_mutex;
  std::deque<Sink> sinks;  // a thread in forward() may still look at an old one
};

Log::Log(const LogSettings& settings) : impl_(std::make_unique<Impl>(settings)) {}
Log::~Log() = default;

bool Log::enabled(Level level) const { return level >= impl_->level.load(std::memory_order_relaxed); }
Level Log::level() const { return impl_->level.load(std::memory_order_relaxed); }
void Log::set_level(Level level) { impl_->level.store(level, std::memory_order_relaxed); }
uint64_t Log::dropped() const { return impl_->pool->overrun_counter(); }
bool Log::reopen() { return impl_->sink->reopen(); }

void Log::set_sink(const bh_log_sink* api, void* self) {
  const std::lock_guard lock(impl_->sinks_mutex);
  impl_->forwarded.store(&impl_->sinks.emplace_back(Impl::Sink{api, self}), std::memory_order_release);
}
void Log::clear_sink() { impl_->forwarded.store(nullptr, std::memory_order_release); }

void Log::write(Level level, std::string_view message, const Fields& fields) {
  if (!enabled(level)) return;
  impl_->forward(level, message, fields);
  std::string line;
  if (impl_->json) {
    nlohmann::ordered_json entry = {{"timestamp", timestamp()},
                                    {"level", level_name(level)},
                                    {"service", impl_->service},
                                    {"version", impl_->version}};
    for (const auto& [key, value] : fields) entry[std::string(key)] = value;
    entry["message"] = message;
    line = entry.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } else {
    line = text_line(level, message, fields, impl_->colour);
  }
  line += '\n';
  impl_->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace bulkhead::telemetry
