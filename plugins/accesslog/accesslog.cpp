// The accesslog plugin: one JSON line a request.
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>

#include "accesslog_config.hpp"
#include "accesslog_embedded.hpp"
#include "bulkhead/extensions/reopen.h"
#include "bulkhead/extensions/trace_context.hpp"
#include "bulkhead/plugin.hpp"
#include "bulkhead/services/log_sink.h"
#include "bulkhead/text/hex.hpp"
#include "bulkhead/text/redact.hpp"
#include "filter.hpp"
#include "line.hpp"
#include "writer.hpp"

namespace accesslog {

using accesslog_config::Config;
using bulkhead::hex;
using bulkhead::Request;
using bulkhead::to_str;

namespace {

constexpr uint64_t kKiB = 1024;

std::vector<Rule> read_rules(const std::vector<Config::Rule>& config) {
  std::vector<Rule> rules;
  for (size_t i = 0; i < config.size(); ++i) {
    const Config::Rule& each = config[i];
    Rule& rule = rules.emplace_back();
    rule.route = each.route;
    rule.method = each.method;
    rule.slower_than_ns = uint64_t{each.slower_than_ms} * 1'000'000;
    rule.sample = each.sample;
    const std::string& status = each.status;
    if (!parse_statuses(status, &rule.status_from, &rule.status_to))
      throw bulkhead::Failure(BH_E_CONFIG, "/rules/" + std::to_string(i) + "/status: '" + status +
                                               "' is not a status: write 404, 5xx or 400-499");
  }
  return rules;
}

// Evenly spread over request ids without a generator: the same request is in or out on every host.
double place_of(std::string_view id) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash = (hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15;
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

}  // namespace

namespace {

bool on_terminal(const Config& config) { return config.file.empty() && ::isatty(STDOUT_FILENO) == 1; }
bool wants_text(const Config& config) {
  const std::string& format = config.format;
  return format == "text" || (format == "auto" && on_terminal(config));
}
bool no_colour() {  // no-color.org
  const char* value = std::getenv("NO_COLOR");
  return value != nullptr && *value != '\0';
}

}  // namespace

class AccessLog : public bulkhead::Plugin {
 public:
  AccessLog(bulkhead::Host h, const Config& config)
      : Plugin(h),
        service_(config.service),
        redact_(config.redact_query),
        rules_(read_rules(config.rules)),
        otlp_(config.otlp),
        text_(wants_text(config)),
        colour_(on_terminal(config) && !no_colour()),
        traces_(h),
        writer_(make_writer(config)) {
    static constexpr std::array<std::string_view, 1> kReason = {"reason"};
    const uint32_t dropped =
        h.metric(BH_COUNTER, "accesslog_dropped_total",
                 "Lines lost: the buffer was full, or the file or pipe did not take them.", kReason);
    written_series_ = h.series(h.metric(BH_COUNTER, "accesslog_lines_total", "Lines written."));
    full_series_ = h.series(dropped, std::array<std::string_view, 1>{"buffer_full"});
    failed_series_ = h.series(dropped, std::array<std::string_view, 1>{"write_failed"});
    reopen_.reopen = [](void* self) {
      static_cast<AccessLog*>(static_cast<bulkhead::Plugin*>(self))->writer_->reopen();
    };
    hook(BH_COMPLETE, [this](const Request& request) { return complete(request); });
  }

  void start() override {
    if (otlp_) {
      try {
        sink_ = host().acquire<bh_log_sink>(BH_LOG_SINK_ID, BH_LOG_SINK_VERSION);
      } catch (const bulkhead::Failure& failure) {
        throw bulkhead::Failure(
            BH_E_CONFIG, "/otlp: lines are exported by the tracing plugin with 'logs: true' (" + failure.message + ")");
      }
    }
    writer_->start();
    timer_ = host().every(1000, [this] { report(); });
  }

  void stop() override {
    timer_ = {};
    writer_->stop();
    report();
    sink_ = {};
  }

  const void* extension(std::string_view id) override { return id == BH_REOPEN_ID ? &reopen_ : nullptr; }

 private:
  std::unique_ptr<Writer> make_writer(const Config& config) {
    const std::string& file = config.file;
    try {
      return std::make_unique<Writer>(file, config.buffer_kib * kKiB, [this, file](const std::string& problem) {
        const std::string_view where = file.empty() ? std::string_view("standard output") : std::string_view(file);
        if (problem.empty())
          host().info("the access log is written again", {{"file", where}});
        else
          host().error("the access log loses lines", {{"file", where}, {"error", problem}});
      });
    } catch (const std::runtime_error& error) {
      throw bulkhead::Failure(BH_E_CONFIG, std::string("/file: ") + error.what());
    }
  }

  bh_flow complete(const Request& request) {
    const auto outcome = request.outcome();
    if (!outcome) return BH_NEXT;
    const double share = share_of(rules_, request.route(), request.method(), outcome->status, outcome->duration_ns);
    if (share <= 0 || (share < 1 && place_of(request.id()) >= share)) return BH_NEXT;

    char trace[32], span[16];
    Entry entry;
    entry.unix_ns = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
    entry.service = service_;
    entry.version = host().version();
    const auto ids = traces_.of(request.handle());
    if (ids) {
      entry.trace_id = hex(ids->trace_id, trace);
      entry.span_id = hex(ids->span_id, span);
    }
    entry.request_id = request.id();
    entry.method = request.method();
    entry.path = request.path_as_sent();
    entry.query = request.query();
    entry.route = request.route();
    entry.protocol = request.http_version() == 10 ? "HTTP/1.0" : "HTTP/1.1";
    entry.peer = request.peer();
    entry.user_agent = request.header("user-agent");
    entry.plugin = !outcome->author.empty() ? outcome->author : "host";
    entry.status = outcome->status;
    entry.duration_ns = outcome->duration_ns;
    entry.bytes = outcome->bytes_out;
    std::string line;
    line.reserve(512);
    if (text_)
      append_text_line(entry, redact_, colour_, &line);
    else
      append_line(entry, redact_, &line);
    writer_->add(line);
    if (sink_) export_line(entry);
    return BH_NEXT;
  }

  // Attributes by the names of OpenTelemetry's HTTP conventions.
  void export_line(const Entry& entry) const {
    std::string query;
    bulkhead::redact_query(entry.query, redact_, &query);
    std::vector<bh_log_field> fields;
    const auto text = [&fields](std::string_view name, std::string_view value) {
      if (value.empty()) return;
      bh_log_field& field = fields.emplace_back();
      field.name = to_str(name);
      field.value.kind = BH_TEXT;
      field.value.as.s = to_str(value);
    };
    const auto number = [&fields](std::string_view name, uint64_t value) {
      bh_log_field& field = fields.emplace_back();
      field.name = to_str(name);
      field.value.kind = BH_INT;
      field.value.as.i = static_cast<int64_t>(value);
    };
    text("trace_id", entry.trace_id);
    text("span_id", entry.span_id);
    text("request_id", entry.request_id);
    text("http.request.method", entry.method);
    text("url.path", entry.path);
    text("url.query", query);
    text("http.route", entry.route);
    number("http.response.status_code", static_cast<uint64_t>(entry.status));
    number("http.response.size", entry.bytes);
    number("duration_us", entry.duration_ns / 1000);
    text("client.address", entry.peer);
    text("user_agent.original", entry.user_agent);
    text("bulkhead.author", entry.plugin);
    const std::string message = std::string(entry.method) + " " + std::string(entry.path);
    sink_->log(sink_.self(), entry.status >= 500 ? BH_ERROR : BH_INFO, to_str(message), fields.data(), fields.size());
  }

  void report() {
    const Writer::Counts now = writer_->counts();
    const auto add = [this](uint32_t series, uint64_t* before, uint64_t value) {
      if (value != *before) host().record(series, static_cast<double>(value - *before));
      *before = value;
    };
    add(written_series_, &reported_.written, now.written);
    add(full_series_, &reported_.dropped_full, now.dropped_full);
    add(failed_series_, &reported_.dropped_failed, now.dropped_failed);
  }

  const std::string service_;
  const std::vector<std::string> redact_;
  const std::vector<Rule> rules_;
  const bool otlp_;
  const bool text_, colour_;
  const bulkhead::TraceContext traces_;
  const std::unique_ptr<Writer> writer_;
  bulkhead::Service<bh_log_sink> sink_;
  bh_reopen reopen_ = bulkhead::sized<bh_reopen>();
  uint32_t written_series_ = 0, full_series_ = 0, failed_series_ = 0;
  Writer::Counts reported_;
  bulkhead::Timer timer_;
};

constexpr bh_need kNeeds[] = {bulkhead::service(BH_LOG_SINK_ID, BH_LOG_SINK_VERSION, true)};
constexpr bh_str kGrants[] = {to_str("service:bh.log_sink")};

}  // namespace accesslog

BULKHEAD_PLUGIN(accesslog::AccessLog, "accesslog", "1.0.0", "One line a request.",
                .schema = accesslog_embedded::schema_json, .needs = accesslog::kNeeds, .grants = accesslog::kGrants)
