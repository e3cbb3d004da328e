// The people plugin: the passengers of the Titanic as a resource.
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/cache.hpp"
#include "bulkhead/services/sql.hpp"
#include "bulkhead/text/fields.hpp"
#include "conditions.hpp"
#include "csv.hpp"
#include "kpis.hpp"
#include "patches.hpp"
#include "people_config.hpp"
#include "people_embedded.hpp"
#include "query.hpp"
#include "record.hpp"
#include "store.hpp"
#include "uuid.hpp"

namespace people {

using bulkhead::Json;
using bulkhead::Problem;
using bulkhead::Request;
using bulkhead::Response;
using bulkhead::SqlResult;

namespace {

constexpr std::string_view kPatchTypes = "application/merge-patch+json, application/json-patch+json, application/json";
constexpr uint64_t kRetryMs = 200, kInDoubtMs = 10'000, kDoubtsMs = 1'000;

Problem not_found(std::string_view uuid) { return {404, "There is no passenger " + std::string(uuid) + "."}; }
Problem not_deleted(std::string_view uuid) { return {404, "There is no deleted passenger " + std::string(uuid) + "."}; }

Response record_response(int status, Record record) {
  return bulkhead::json(status, std::move(record.json)).header("etag", etag(record.version));
}

// What a cache keeps answers under: all lists, and each record by itself.
constexpr std::string_view kLists = "people";
std::string tag_of(std::string_view uuid) { return "people/" + std::string(uuid); }

std::string uuid_of(const Request& request) {
  std::string uuid;
  if (!parse_uuid(request.param("uuid"), &uuid))
    throw Problem(400, "'" + std::string(request.param("uuid")) + "' is not a UUID.");
  return uuid;
}

// A record is flat, and what is no field of it is listed and not built.
bulkhead::JsonDocument parse_record(std::string_view body) {
  return parse_body(body, {.kept = 1, .members = kFieldNames});
}

// `sent` is the body that `record` was made from: what it has beside fields counts against it.
Person checked(const Json& record, const bulkhead::JsonDocument& sent, std::string_view uuid) {
  Person person;
  std::vector<bulkhead::FieldError> errors;
  for (const std::string& name : sent.unknown)
    errors.push_back({"/" + bulkhead::json_pointer_token(name), unknown_name(name)});
  const std::vector<bulkhead::FieldError> broken = read_person(record, uuid, &person);
  errors.insert(errors.end(), broken.begin(), broken.end());
  if (errors.empty()) return person;
  const size_t more = sent.unknown_count - sent.unknown.size(), all = errors.size() + more;
  Problem problem(422, all == 1 ? "One field is not valid." : std::to_string(all) + " fields are not valid.",
                  std::move(errors));
  problem.more_errors = more;
  throw problem;
}
Person checked(const bulkhead::JsonDocument& sent, std::string_view uuid) { return checked(sent.value, sent, uuid); }

// Larger bodies are parsed on the executor, so that they do not hold up an I/O thread: a MiB takes
// 20 ms.
constexpr size_t kHeavyBody = 64 * 1024;

void require_json_body(const Request& request) {
  if (content_type(request) == "application/json") return;
  Problem problem(415, "Send the record as application/json.");
  problem.headers.emplace_back("accept-post", "application/json");
  throw problem;
}

}  // namespace

class People : public bulkhead::Plugin {
 public:
  People(bulkhead::Host h, const people_config::Config& config)
      : Plugin(h), kpis_(h), kpi_interval_s_(config.kpi_interval_s) {
    if (!config.seed.empty()) seed_ = read_csv(config.seed);
    const bulkhead::Operations operation(people_embedded::operations_json);
    get("/people", &People::list, operation("list"), {.scope = "people:read"});
    post("/people", &People::create, operation("create"), {.scope = "people:write"});
    get("/people/{uuid}", &People::read, operation("read"), {.scope = "people:read"});
    put("/people/{uuid}", &People::replace, operation("replace"), {.scope = "people:write"});
    patch("/people/{uuid}", &People::change, operation("change"), {.scope = "people:write"});
    del("/people/{uuid}", &People::remove, operation("remove"), {.scope = "people:write"});
    post("/people/{uuid}/restore", &People::restore, operation("restore"), {.scope = "people:erase"});
    command("import", "FILE.csv", "Adds the passengers of a CSV file; those that are there already are left alone.",
            [this](bulkhead::Arguments arguments, const bulkhead::Print& print) { import(arguments, print); });
  }

  void start() override {
    store_ = std::make_unique<Store>(host());
    cache_ = bulkhead::CacheTags(host());
    host().health(BH_STARTING, "waiting for the database");
    doubts_ = host().every(kDoubtsMs, [this] { resolve(); });
    store_->migrate([this](const SqlResult& result) {
      if (!result.ok()) return host().health(BH_FAILED, "the schema could not be migrated: " + result.message);
      seed();
    });
  }

  // Steps in flight reach into this object. Writes in flight invalidate the cache before it shuts
  // down.
  void quiesce() override {
    if (store_) store_->settle();
  }
  void stop() override {
    store_.reset();
    cache_ = {};
  }
  ~People() override { store_.reset(); }

 private:
  // Loads the shipped passengers into an empty table; again in a moment where the database went
  // away meanwhile.
  void seed() {
    auto done = [this](const SqlResult& result) {
      cache_.invalidate<1>({kLists});
      if (result.ok()) {
        seed_.clear();
        seed_.shrink_to_fit();
        return ready();
      }
      host().health(BH_STARTING, "loading the first records: " + result.message);
      retry_seed();
    };
    try {
      if (seed_.empty()) return ready();
      store_->seed(seed_, done);
    } catch (const bulkhead::Failure&) {
      retry_seed();
    }
  }
  void ready() {
    host().health(BH_READY);
    kpis_.watch(*store_, kpi_interval_s_);
  }
  void retry_seed() {
    const std::lock_guard lock(mutex_);
    retry_ = host().after(kRetryMs, [this] { seed(); });
  }

  void changed(const std::string& uuid, const SqlResult& result) {
    cache_.invalidate<2>({kLists, tag_of(uuid)});
    if (result.status != BH_E_UNAVAILABLE || !cache_.wanted()) return;
    // The answer to a commit was lost: it may come to be, or to be seen, later than this.
    const std::lock_guard lock(mutex_);
    in_doubt_.emplace_back(host().now_ns() + kInDoubtMs * 1'000'000, uuid);
  }
  void resolve() {
    std::vector<std::string> uuids;
    {
      const std::lock_guard lock(mutex_);
      const uint64_t now = host().now_ns();
      for (; !in_doubt_.empty() && in_doubt_.front().first <= now; in_doubt_.pop_front())
        uuids.push_back(std::move(in_doubt_.front().second));
    }
    for (const std::string& uuid : uuids) cache_.invalidate<2>({kLists, tag_of(uuid)});
  }

  bulkhead::Task<Response> list(Request request) {
    require_json_accepted(request);
    const ListQuery query = ListQuery::parse(request.query());
    // A list has no tag of its own: it exists, and that is all that can be asked of it.
    if (const int status = Conditions(request).read_status(""); status == 412)
      throw Problem(412, "A list has no ETag that could match.");
    else if (status == 304)
      co_return Response(304);
    auto fetch = store_->list(query, request);
    Store::Page page = co_await fetch;
    kpis_.count(query.filters.empty() ? Operation::kList : Operation::kSearch);
    Response response = bulkhead::json(200, std::move(page.json));
    if (cache_.wanted()) response.header(BH_HEADER_SURROGATE_KEY, std::string(kLists));
    if (!page.cursor.empty()) {
      const std::string next = ListQuery::next(request.path(), request.query(), page.cursor);
      response.header("link", "<" + next + ">; rel=\"next\"");
    }
    co_return response;
  }

  bulkhead::Task<Response> read(Request request) {
    require_json_accepted(request);
    const std::string uuid = uuid_of(request);
    Record record;
    auto lookup = store_->find(uuid, request, &record);
    const SqlResult result = co_await lookup;
    bulkhead::require(result);
    if (!record.found) throw not_found(uuid);
    const int status = Conditions(request).read_status(etag(record.version));
    if (status == 412) throw Problem(412, "If-Match names another version of the record.");
    kpis_.count(Operation::kRead);
    Response response =
        status == 304 ? Response(304).header("etag", etag(record.version)) : record_response(200, std::move(record));
    if (cache_.wanted()) response.header(BH_HEADER_SURROGATE_KEY, tag_of(uuid));
    co_return response;
  }

  bulkhead::Task<Response> create(Request request) {
    require_json_accepted(request);
    require_json_body(request);
    Conditions(request).require("");  // of the collection, which exists and has no tag
    if (request.body().size() > kHeavyBody) co_await bulkhead::on_executor(host());
    Person person = checked(parse_record(request.body()), "");
    person.uuid = random_uuid();
    auto insert = store_->insert(person, request);
    const SqlResult result = co_await insert;
    changed(person.uuid, result);
    bulkhead::require(result);
    kpis_.count(Operation::kCreate);
    Record record{true, 1, {}};
    write_record(person, &record.json);
    co_return record_response(201, std::move(record)).header("location", "/people/" + person.uuid);
  }

  // Reads the record, decides, writes: one transaction, so nothing comes between.
  // `next` makes the answer from the current record, or throws the Problem to answer with.
  template <typename Next>
  bulkhead::Task<Response> update(Request request, Operation operation, std::string uuid, Next next) {
    const Conditions conditions(request);
    Response response;
    const auto change = [&](bulkhead::SqlTransaction& transaction) {
      try {
        const bool restores = operation == Operation::kRestore;
        const Record current = restores ? store_->lock_deleted(transaction, uuid) : store_->lock(transaction, uuid);
        if (!current.found) throw restores ? not_deleted(uuid) : not_found(uuid);
        conditions.require(etag(current.version));
        response = next(transaction, current);
        return true;
      } catch (const StatementFailed&) {  // the result says why
        return false;
      }
    };
    auto transaction = store_->transact(request, change);
    const SqlResult result = co_await transaction;
    changed(uuid, result);
    bulkhead::require(result);
    kpis_.count(operation);
    co_return response;
  }

  Response write(bulkhead::SqlTransaction& transaction, const Person& person, int64_t version) const {
    store_->replace(transaction, person);
    Record record{true, version + 1, {}};
    write_record(person, &record.json);
    return record_response(200, std::move(record));
  }

  bulkhead::Task<Response> replace(Request request) {
    require_json_accepted(request);
    require_json_body(request);
    const std::string uuid = uuid_of(request);
    if (request.body().size() > kHeavyBody) co_await bulkhead::on_executor(host());
    const Person person = checked(parse_record(request.body()), uuid);
    const auto next = [&](bulkhead::SqlTransaction& transaction, const Record& current) {
      return write(transaction, person, current.version);
    };
    auto update_it = update(request, Operation::kReplace, uuid, next);
    co_return co_await update_it;
  }

  bulkhead::Task<Response> change(Request request) {
    require_json_accepted(request);
    const std::string uuid = uuid_of(request);
    const std::string type = content_type(request);
    const bool operations = type == "application/json-patch+json";
    if (!operations && type != "application/merge-patch+json" && type != "application/json") {
      Problem problem(415,
                      "Send a merge patch (RFC 7396) as application/merge-patch+json, or a JSON patch (RFC 6902) as "
                      "application/json-patch+json.");
      problem.headers.emplace_back("accept-patch", kPatchTypes);
      throw problem;
    }
    if (request.body().size() > kHeavyBody) co_await bulkhead::on_executor(host());
    // A patch holds operations, and those hold values or, for the whole record, an object of
    // values.
    const bulkhead::JsonDocument patch =
        operations ? parse_body(request.body(), {.values = kMostPatchValues, .kept = 3}) : parse_record(request.body());
    if (operations) check_operations(patch.value);
    if (!operations && !patch.value.is_object())
      throw Problem(422, "One field is not valid.", {{"", "must be an object with the fields to change"}});
    const auto next = [&](bulkhead::SqlTransaction& transaction, const Record& current) {
      Json record = Json::parse(current.json);
      if (operations)
        record = patched(std::move(record), patch.value);
      else
        record.merge_patch(patch.value);
      return write(transaction, checked(record, patch, uuid), current.version);
    };
    auto update_it = update(request, Operation::kChange, uuid, next);
    co_return co_await update_it;
  }

  bulkhead::Task<Response> remove(Request request) {
    const std::string uuid = uuid_of(request);
    const auto next = [&](bulkhead::SqlTransaction& transaction, const Record&) {
      store_->remove(transaction, uuid);
      return Response(204);
    };
    auto update_it = update(request, Operation::kRemove, uuid, next);
    co_return co_await update_it;
  }

  bulkhead::Task<Response> restore(Request request) {
    require_json_accepted(request);
    const std::string uuid = uuid_of(request);
    const auto next = [&](bulkhead::SqlTransaction& transaction, const Record&) {
      return record_response(200, store_->restore(transaction, uuid));
    };
    auto update_it = update(request, Operation::kRestore, uuid, next);
    co_return co_await update_it;
  }

  void import(bulkhead::Arguments arguments, const bulkhead::Print& print) const {
    if (arguments.size() != 1) throw std::invalid_argument("takes one argument, the CSV file");
    const std::vector<Person> people = read_csv(std::string(arguments[0]));
    const size_t added = store_->import(people);
    cache_.invalidate<1>({kLists});
    print("imported " + std::to_string(added) + ", " + std::to_string(people.size() - added) + " were there already\n");
  }

  Kpis kpis_;
  const uint64_t kpi_interval_s_;
  bulkhead::CacheTags cache_;
  std::unique_ptr<Store> store_;
  std::vector<Person> seed_;
  std::mutex mutex_;
  std::deque<std::pair<uint64_t, std::string>> in_doubt_;  // when to say so again, the earliest first
  bulkhead::Timer retry_, doubts_;
};

constexpr bh_need kNeeds[] = {bulkhead::service(BH_SQL_ID, BH_SQL_VERSION),
                              bulkhead::service(BH_CACHE_ID, BH_CACHE_VERSION, true)};
constexpr bh_str kGrants[] = {bulkhead::to_str("service:bh.sql"), bulkhead::to_str("service:bh.cache")};

}  // namespace people

BULKHEAD_PLUGIN(people::People, "people", "1.0.0", "The passengers of the Titanic: create, read, change, delete, list.",
                .schema = people_embedded::schema_json, .needs = people::kNeeds, .grants = people::kGrants)
