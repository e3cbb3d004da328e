// The compression plugin: answers in the content coding that the caller likes best.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bulkhead/fields.hpp"
#include "bulkhead/glob.hpp"
#include "bulkhead/plugin.hpp"
#include "coder.hpp"
#include "compression_embedded.hpp"

namespace compression {

using bulkhead::Exchange;
using bulkhead::Json;
using bulkhead::Request;
using bulkhead::to_str;
using bulkhead::to_view;

namespace {

// What takes longer than a request may hold up others on its thread goes to the executor.
constexpr size_t kAtOnce = 32 * 1024;
constexpr std::string_view kJob = "compression.job";

// Where the answer cannot wait any longer, it goes out as it is while this is still at work: so all of it is a copy.
struct Job {
  std::string_view coding;
  std::string text, etag, coded;
  std::atomic<bool> done{false};
};
using JobPtr = std::shared_ptr<Job>;

std::string_view field(const bh_outcome& outcome, std::string_view name) {
  for (size_t i = 0; i < outcome.header_count; ++i)
    if (to_view(outcome.headers[i].name) == name) return to_view(outcome.headers[i].value);
  return {};
}

}  // namespace

class Compression : public bulkhead::Plugin {
 public:
  Compression(bulkhead::Host h, const Json& config)
      : Plugin(h),
        types_(config.at("types")),
        exclude_(config.at("exclude")),
        min_bytes_(config.at("min_bytes")),
        levels_{config.at("gzip_level"), config.at("br_level"), config.at("zstd_level")} {
    for (const Json& name : config.at("codings"))
      for (const std::string_view known : bulkhead::kContentCodings)
        if (name == known) codings_.push_back(known);
    hook(BH_RESPOND, [this](const Request& request) { return begin(request); });
    hook(BH_RESPOND, [this](const Request& request) { return finish(request); });
    static constexpr std::string_view kLabels[] = {"coding", "direction"};
    const uint32_t metric =
        h.metric(BH_COUNTER, "compression_bytes_total", "Bytes of answers before and after a content coding.", kLabels);
    for (size_t i = 0; i < bulkhead::kContentCodings.size(); ++i) {
      const std::string_view in[] = {bulkhead::kContentCodings[i], "in"}, out[] = {bulkhead::kContentCodings[i], "out"};
      series_[i] = {h.series(metric, in), h.series(metric, out)};
    }
  }

 private:
  bh_flow begin(const Request& request) {
    bh_outcome outcome{};
    outcome.size = sizeof outcome;
    if (host().raw()->ex_outcome(host().raw(), request.handle(), &outcome) != BH_OK) return BH_NEXT;
    const std::string_view etag = field(outcome, "etag");
    if (outcome.status == 304) return not_modified(request, etag);
    if (!worth_it(request, outcome)) return BH_NEXT;
    const bh_pair vary{to_str("vary"), to_str("accept-encoding")};
    edit(request, {&vary, 1}, {}, BH_APPEND);
    const std::string_view coding = negotiate(request.header_list("accept-encoding").value_or(""), codings_);
    if (coding.empty()) return BH_NEXT;
    const std::string_view text = to_view(outcome.body);
    if (text.size() <= kAtOnce) {
      apply(request, coding, etag, text.size(), encode(coding, text, levels_));
      return BH_NEXT;
    }
    return elsewhere(request, coding, etag, text);
  }

  bh_flow elsewhere(const Request& request, std::string_view coding, std::string_view etag, std::string_view text) {
    struct Work {
      Exchange held;
      JobPtr job;
      Levels levels;
    };
    const JobPtr job = std::make_shared<Job>();
    job->coding = coding;
    job->text = text;
    job->etag = etag;
    auto work = std::make_unique<Work>(Work{Exchange(host().raw(), request.handle()), job, levels_});
    const auto run = [](void* arg) {
      const std::unique_ptr<Work> mine(static_cast<Work*>(arg));
      try {
        mine->job->coded = encode(mine->job->coding, mine->job->text, mine->levels);
        mine->job->done.store(true, std::memory_order_release);
      } catch (const std::bad_alloc&) {  // it goes out as it is
      }
      mine->held.resume();
    };
    if (host().raw()->post(host().raw(), run, work.get()) != BH_OK) return BH_NEXT;
    static_cast<void>(work.release());
    auto kept = std::make_unique<JobPtr>(job);
    const JobPtr* address = kept.release();
    request.attribute(kJob, {reinterpret_cast<const char*>(&address), sizeof address});
    host().raw()->ex_on_end(
        host().raw(), request.handle(), [](void* arg) { delete static_cast<JobPtr*>(arg); },
        const_cast<JobPtr*>(address));
    return BH_PENDING;
  }

  bh_flow finish(const Request& request) {
    const std::string_view attribute = request.attribute(kJob);
    if (attribute.empty()) return BH_NEXT;
    const JobPtr* job = nullptr;
    std::memcpy(&job, attribute.data(), sizeof job);
    if ((*job)->done.load(std::memory_order_acquire))
      apply(request, (*job)->coding, (*job)->etag, (*job)->text.size(), std::move((*job)->coded));
    return BH_NEXT;
  }

  // It names the bytes that the caller has: those of a coding, if that is what it asked about.
  bh_flow not_modified(const Request& request, std::string_view etag) const {
    if (etag.size() < 2 || etag.front() != '"') return BH_NEXT;
    const std::string known = request.header_list("if-none-match").value_or("");
    for (const std::string_view coding : bulkhead::kContentCodings) {
      const std::string coded = bulkhead::coded_etag(etag, coding);
      if (known.find(coded) == std::string::npos) continue;
      const bh_pair changed{to_str("etag"), to_str(coded)};
      edit(request, {&changed, 1}, {}, 0);
      break;
    }
    const bh_pair vary{to_str("vary"), to_str("accept-encoding")};
    edit(request, {&vary, 1}, {}, BH_APPEND);
    return BH_NEXT;
  }

  bool worth_it(const Request& request, const bh_outcome& outcome) const {
    if (outcome.body.len < std::max<size_t>(min_bytes_, 1) || outcome.status == 206 || outcome.status == 204)
      return false;
    std::string_view type;
    for (size_t i = 0; i < outcome.header_count; ++i) {
      const std::string_view name = to_view(outcome.headers[i].name), value = to_view(outcome.headers[i].value);
      if (name == "content-encoding" || name == "content-range" || name == "set-cookie") return false;
      // no-store: it is a secret. no-transform: who wrote it forbids it (RFC 9111 §5.2.2.6).
      if (name == "cache-control") {
        const std::string directives = bulkhead::lowered(value);
        if (directives.find("no-store") != std::string::npos || directives.find("no-transform") != std::string::npos)
          return false;
      }
      if (name == "content-type") type = value;
    }
    const std::string plain = bulkhead::lowered(bulkhead::trim_ows(type.substr(0, type.find(';'))));
    const auto fits = [](std::string_view text) {
      return [text](const std::string& glob) { return bulkhead::glob_match(glob, text); };
    };
    return std::any_of(types_.begin(), types_.end(), fits(plain)) &&
           std::none_of(exclude_.begin(), exclude_.end(), fits(request.route()));
  }

  void apply(const Request& request, std::string_view coding, std::string_view etag, size_t size,
             std::string coded) const {
    if (coded.empty()) return;
    const auto index =
        static_cast<size_t>(std::find(bulkhead::kContentCodings.begin(), bulkhead::kContentCodings.end(), coding) -
                            bulkhead::kContentCodings.begin());
    host().record(series_[index].in, static_cast<double>(size));
    host().record(series_[index].out, static_cast<double>(coded.size()));
    std::array<bh_pair, 2> fields{{{to_str("content-encoding"), to_str(coding)}, {}}};
    std::string tag;
    size_t count = 1;
    if (etag.size() >= 2 && etag.front() == '"') {
      tag = bulkhead::coded_etag(etag, coding);
      fields[count++] = {to_str("etag"), to_str(tag)};
    }
    edit(request, {fields.data(), count}, std::move(coded), 0);
  }

  void edit(const Request& request, std::span<const bh_pair> fields, std::string body, uint32_t flags) const {
    bh_reply change{};
    change.size = sizeof change;
    change.flags = flags;
    change.headers = fields.data();
    change.header_count = fields.size();
    if (!body.empty()) {
      auto kept = std::make_unique<std::string>(std::move(body));
      change.body = to_str(*kept);
      change.release = [](void* arg) { delete static_cast<std::string*>(arg); };
      change.arg = kept.release();
    }
    host().raw()->ex_edit(host().raw(), request.handle(), &change);
  }

  struct Series {
    uint32_t in = 0, out = 0;
  };

  const std::vector<std::string> types_, exclude_;
  const size_t min_bytes_;
  const Levels levels_;
  std::vector<std::string_view> codings_;
  std::array<Series, bulkhead::kContentCodings.size()> series_{};
};

// Answers are kept, and compared with what a caller has, as they are: they are coded behind the cache.
constexpr bh_str kBefore[] = {to_str("cache")};

}  // namespace compression

BULKHEAD_PLUGIN(compression::Compression, "compression", "1.0.0", "Answers in gzip, brotli or zstd.",
                .schema = compression_embedded::schema_json, .before = compression::kBefore)
