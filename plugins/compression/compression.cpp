// The compression plugin: answers in the content coding that the caller likes best.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/text/fields.hpp"
#include "bulkhead/text/glob.hpp"
#include "coder.hpp"
#include "compression_config.hpp"
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

// Where the answer cannot wait any longer, it goes out as it is while this is still at work: so all
// of it is a copy.
struct Job {
  std::string_view coding;
  std::string text, etag, coded;
  std::atomic<bool> done{false};
};
using JobPtr = std::shared_ptr<Job>;
constexpr bulkhead::Attachment<JobPtr> kJob{"job"};

}  // namespace

class Compression : public bulkhead::Plugin {
 public:
  Compression(bulkhead::Host h, const compression_config::Config& config)
      : Plugin(h),
        types_(config.types),
        exclude_(config.exclude),
        min_bytes_(config.min_bytes),
        levels_{static_cast<int>(config.gzip_level), static_cast<int>(config.br_level),
                static_cast<int>(config.zstd_level)} {
    for (const std::string& name : config.codings)
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
    const auto outcome = request.outcome();
    if (!outcome) return BH_NEXT;
    const std::string_view etag = outcome->field("etag");
    if (outcome->status == 304) return not_modified(request, etag);
    if (!worth_it(request, *outcome)) return BH_NEXT;
    vary(request);
    const std::string_view coding = negotiate(request.header_list("accept-encoding").value_or(""), codings_);
    if (coding.empty()) return BH_NEXT;
    const std::string_view text = outcome->body;
    if (text.size() <= kAtOnce) {
      apply(request, coding, etag, text.size(), encode(coding, text, levels_));
      return BH_NEXT;
    }
    return elsewhere(request, coding, etag, text);
  }

  bh_flow elsewhere(const Request& request, std::string_view coding, std::string_view etag, std::string_view text) {
    const JobPtr job = std::make_shared<Job>();
    job->coding = coding;
    job->text = text;
    job->etag = etag;
    const auto work = [held = Exchange(request), job, levels = levels_] {
      try {
        job->coded = encode(job->coding, job->text, levels);
        job->done.store(true, std::memory_order_release);
      } catch (const std::bad_alloc&) {  // it goes out as it is
      }
      held.resume();
    };
    if (!host().post(work)) return BH_NEXT;
    request.attach(kJob, std::make_unique<JobPtr>(job));
    return BH_PENDING;
  }

  bh_flow finish(const Request& request) {
    const JobPtr* found = request.attached(kJob);
    if (found == nullptr) return BH_NEXT;
    Job& job = **found;
    if (job.done.load(std::memory_order_acquire))
      apply(request, job.coding, job.etag, job.text.size(), std::move(job.coded));
    return BH_NEXT;
  }

  // It names the bytes that the caller has: those of a coding, if that is what it asked about.
  bh_flow not_modified(const Request& request, std::string_view etag) const {
    if (etag.size() < 2 || etag.front() != '"') return BH_NEXT;
    const std::string known = request.header_list("if-none-match").value_or("");
    for (const std::string_view coding : bulkhead::kContentCodings) {
      const std::string coded = bulkhead::coded_etag(etag, coding);
      if (known.find(coded) == std::string::npos) continue;
      const bh_pair changed = bulkhead::to_pair("etag", coded);
      request.edit({.fields = {&changed, 1}});
      break;
    }
    vary(request);
    return BH_NEXT;
  }

  bool worth_it(const Request& request, const bulkhead::Outcome& outcome) const {
    if (outcome.body.size() < std::max<size_t>(min_bytes_, 1) || outcome.status == 206 || outcome.status == 204)
      return false;
    std::string_view type;
    for (const bh_pair& field : outcome.fields) {
      const std::string_view name = to_view(field.name), value = to_view(field.value);
      if (name == "content-encoding" || name == "content-range" || name == "set-cookie") return false;
      // no-store: it is a secret. no-transform: its author forbids it (RFC 9111 §5.2.2.6).
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
    std::array<bh_pair, 2> fields = {bulkhead::to_pair("content-encoding", coding)};
    std::string tag;
    size_t count = 1;
    if (etag.size() >= 2 && etag.front() == '"') {
      tag = bulkhead::coded_etag(etag, coding);
      fields[count++] = bulkhead::to_pair("etag", tag);
    }
    request.edit({.fields = {fields.data(), count}, .body = std::move(coded)});
  }

  static void vary(const Request& request) {
    const bh_pair field = bulkhead::to_pair("vary", "accept-encoding");
    request.edit({.fields = {&field, 1}, .append = true});
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

// Answers are kept, and compared with what a caller has, as they are: they are coded behind the
// cache.
constexpr bh_str kBefore[] = {to_str("cache")};

}  // namespace compression

BULKHEAD_PLUGIN(compression::Compression, "compression", "1.0.0", "Answers in gzip, brotli or zstd.",
                .schema = compression_embedded::schema_json, .before = compression::kBefore)
