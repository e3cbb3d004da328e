// The people plugin: the passengers of the Titanic as a resource.
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "bulkhead/extensions/command.h"
#include "bulkhead/fields.hpp"
#include "bulkhead/plugin.hpp"
#include "bulkhead/services/cache.hpp"
#include "bulkhead/services/sql.hpp"
#include "conditions.hpp"
#include "csv.hpp"
#include "kpis.hpp"
#include "people_embedded.hpp"
#include "query.hpp"
#include "record.hpp"
#include "store.hpp"
#include "uuid.hpp"

namespace people {

using bulkhead::Exchange;
using bulkhead::fail;
using bulkhead::Json;
using bulkhead::Problem;
using bulkhead::Request;
using bulkhead::Response;
using bulkhead::SqlResult;

namespace {

constexpr std::string_view kPatchTypes = "application/merge-patch+json, application/json-patch+json, application/json";
constexpr uint64_t kRetryMs = 200, kInDoubtMs = 10'000;

Problem not_found(std::string_view uuid) { return {404, "There is no passenger " + std::string(uuid) + "."}; }
Problem not_deleted(std::string_view uuid) { return {404, "There is no deleted passenger " + std::string(uuid) + "."}; }

Response record_response(int status, const Record& record) {
  return bulkhead::json(status, record.json).header("etag", etag(record.version));
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

// A body that is parsed on the executor, so that it does not hold up an I/O thread: a MiB takes 20
// ms.
constexpr size_t kHeavyBody = 64 * 1024;

// Enough to test and replace every field several times.
constexpr size_t kMostOperations = 100;
constexpr size_t kMostPatchValues = 2'000;

Problem refused_patch(size_t index, std::string_view member, std::string detail) {
  return {422,
          "The patch cannot be applied.",
          {{"/" + std::to_string(index) + (member.empty() ? "" : "/" + std::string(member)), std::move(detail)}}};
}

// Where an operation of a patch points: one field of the record, or "" for all of it.
std::string_view target_of(const Json& operation, size_t index, const char* member) {
  const auto found = operation.find(member);
  if (found == operation.end() || !found->is_string())
    throw refused_patch(index, member, "is required, and is a JSON pointer");
  const std::string& pointer = found->get_ref<const std::string&>();
  if (pointer.empty() || (pointer.front() == '/' && find_field(std::string_view(pointer).substr(1)) != nullptr))
    return pointer;
  throw refused_patch(index, member, "must point to one field of the record, as in /age, or be empty for all of it");
}

// Checks that each operation has its members and names fields (RFC 6902 §4). Ignores other members.
void check_operations(const Json& patch) {
  if (!patch.is_array()) throw Problem(400, "A JSON patch is an array of operations (RFC 6902).");
  if (patch.size() > kMostOperations)
    throw Problem(422, "A patch of a record takes at most " + std::to_string(kMostOperations) +
                           " operations; this has " + std::to_string(patch.size()) + ".");
  for (size_t i = 0; i < patch.size(); ++i) {
    const Json& operation = patch[i];
    if (!operation.is_object() || !operation.contains("op") || !operation.contains("path"))
      throw Problem(400, "A JSON patch is an array of operations (RFC 6902).",
                    {{"/" + std::to_string(i), "must be an object with op and path"}});
    const std::string op = operation["op"].is_string() ? operation["op"].get<std::string>() : std::string();
    const std::string_view path = target_of(operation, i, "path");
    if (op == "add" || op == "replace" || op == "test") {
      if (!operation.contains("value")) throw refused_patch(i, "value", "is required");
      if (path.empty() && op != "test" && !operation["value"].is_object())
        throw refused_patch(i, "value", "must be an object with the fields of the record");
    } else if (op == "move" || op == "copy") {
      if (path.empty()) throw refused_patch(i, "path", "must point to one field");
      if (target_of(operation, i, "from").empty())
        throw refused_patch(i, "from", "must point to one field: a record is not put within itself");
    } else if (op == "remove") {
      if (path.empty()) throw refused_patch(i, "path", "must point to one field; DELETE removes the record");
    } else {
      throw refused_patch(i, "op", "must be add, remove, replace, move, copy or test");
    }
  }
}

Json patched(Json record, const Json& patch) {
  try {
    record.patch_inplace(patch);
    return record;
  } catch (const Json::exception& error) {  // "[json.exception.out_of_range.403] key 'age' not found"
    const std::string_view what = error.what();
    throw Problem(422, "The patch cannot be applied: " +
                           bulkhead::shortened(what.substr(std::min(what.find("] ") + 2, what.size()))) + ".");
  }
}

void require_json_body(const Request& request) {
  if (content_type(request) == "application/json") return;
  Problem problem(415, "Send the record as application/json.");
  problem.headers.emplace_back("accept-post", "application/json");
  throw problem;
}

constexpr bh_command_info kCommandList[] = {
    {BH_LIT("import"), BH_LIT("FILE.csv"),
     BH_LIT("Adds the passengers of a CSV file; those that are there already are left alone.")}};

}  // namespace

class People : public bulkhead::Plugin {
 public:
  People(bulkhead::Host h, const Json& config) : Plugin(h), kpis_(h), kpi_interval_s_(config.at("kpi_interval_s")) {
    if (const std::string seed = config.at("seed"); !seed.empty()) seed_ = read_csv(seed);
    const Json operations = Json::parse(people_embedded::operations_json);
    auto operation = [&](const char* name) { return operations.at(name).dump(); };
    get("/people", &People::list, operation("list"), {.scope = "people:read"});
    post("/people", &People::create, operation("create"), {.scope = "people:write"});
    get("/people/{uuid}", &People::read, operation("read"), {.scope = "people:read"});
    put("/people/{uuid}", &People::replace, operation("replace"), {.scope = "people:write"});
    patch("/people/{uuid}", &People::change, operation("change"), {.scope = "people:write"});
    del("/people/{uuid}", &People::remove, operation("remove"), {.scope = "people:write"});
    post("/people/{uuid}/restore", &People::restore, operation("restore"), {.scope = "people:erase"});
  }

  void start() override {
    store_ = std::make_unique<Store>(host());
    cache_ = bulkhead::CacheTags(host());
    host().health(BH_STARTING, "waiting for the database");
    store_->migrate([this](const SqlResult& result) {
      if (!result.ok()) return host().health(BH_FAILED, "the schema could not be migrated: " + result.message);
      seed();
    });
  }

  // Waits for what the database still owes: its callbacks reach into this object.
  // What is written yet is told to the cache before the cache stops telling.
  void quiesce() override {
    if (store_) store_->settle();
  }
  void stop() override {
    store_.reset();
    cache_ = {};
  }
  ~People() override { store_.reset(); }

  const void* extension(std::string_view id) override {
    static constexpr bh_commands kCommands{sizeof(bh_commands), 1, kCommandList, run_command};
    return id == BH_COMMAND_ID ? &kCommands : nullptr;
  }

 private:
  // Loads the shipped passengers into an empty table; again in a moment where the database went away meanwhile.
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
    host().raw()->timer(
        host().raw(), kRetryMs, 0, [](void* self) { static_cast<People*>(self)->seed(); }, this);
  }

  void changed(const std::string& uuid, const SqlResult& result) {
    cache_.invalidate<2>({kLists, tag_of(uuid)});
    if (result.status != BH_E_UNAVAILABLE || !cache_.wanted()) return;
    // The answer to a commit was lost: it may come to be, or to be seen, later than this.
    const std::lock_guard lock(mutex_);
    in_doubt_.emplace_back(host().now_ns() + kInDoubtMs * 1'000'000, uuid);
    host().raw()->timer(
        host().raw(), kInDoubtMs + 1, 0, [](void* self) { static_cast<People*>(self)->resolve(); }, this);
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

  void list(const Request& request, Exchange ex) {
    require_json_accepted(request);
    const ListQuery query = ListQuery::parse(request.query());
    // A list has no tag of its own: it exists, and that is all that can be asked of it.
    if (const int status = Conditions(request).read_status(""); status != 0) {
      if (status == 412) throw Problem(412, "A list has no ETag that could match.");
      ex.reply(Response(304));
      return;
    }
    bh_exchange* handle = ex.handle();
    // The request's views live as long as the exchange is held.
    store_->list(query, request.deadline_ns(), handle,
                 [this, ex = std::move(ex), path = request.path(), parameters = request.query(),
                  searches = !query.filters.empty()](const SqlResult& result, Store::Page page) {
                   if (!result.ok()) return fail(ex, result);
                   kpis_.count(searches ? Operation::kSearch : Operation::kList);
                   Response response = bulkhead::json(200, std::move(page.json));
                   if (cache_.wanted()) response.header("surrogate-key", std::string(kLists));
                   if (!page.cursor.empty())
                     response.header("link", "<" + ListQuery::next(path, parameters, page.cursor) + ">; rel=\"next\"");
                   ex.reply(std::move(response));
                 });
  }

  void read(const Request& request, Exchange ex) {
    require_json_accepted(request);
    const std::string uuid = uuid_of(request);
    bh_exchange* handle = ex.handle();
    store_->find(uuid, request.deadline_ns(), handle,
                 [this, ex = std::move(ex), uuid, id = std::string(request.id()), conditions = Conditions(request)](
                     const SqlResult& result, const Record& record) {
                   if (!result.ok()) return fail(ex, result);
                   if (!record.found) {
                     ex.reply(bulkhead::problem(not_found(uuid), id));
                     return;
                   }
                   const int status = conditions.read_status(etag(record.version));
                   if (status == 412) {
                     ex.reply(bulkhead::problem({412, "The record is another version than If-Match names."}, id));
                     return;
                   }
                   kpis_.count(Operation::kRead);
                   Response response = status == 304 ? Response(304).header("etag", etag(record.version))
                                                     : record_response(200, record);
                   if (cache_.wanted()) response.header("surrogate-key", tag_of(uuid));
                   ex.reply(std::move(response));
                 });
  }

  // Runs `work` at once for a small body, on the executor for a large one.
  template <typename Work>
  void with_body(const Request& request, Exchange ex, Work work) {
    if (request.body().size() > kHeavyBody) return on_executor(request, std::move(ex), std::move(work));
    work(request, std::move(ex));
  }

  void create(const Request& request, Exchange ex) {
    require_json_accepted(request);
    require_json_body(request);
    Conditions(request).require("");  // of the collection, which exists and has no tag
    with_body(request, std::move(ex), [this](const Request& sent, Exchange to) { insert(sent, std::move(to)); });
  }

  void insert(const Request& request, Exchange ex) {
    auto person = std::make_shared<Person>(checked(parse_record(request.body()), ""));
    person->uuid = random_uuid();
    bh_exchange* handle = ex.handle();
    store_->insert(*person, request.deadline_ns(), handle, [this, ex = std::move(ex), person](const SqlResult& result) {
      changed(person->uuid, result);
      if (!result.ok()) return fail(ex, result);
      kpis_.count(Operation::kCreate);
      Record record{true, 1, {}};
      write_record(*person, &record.json);
      ex.reply(record_response(201, record).header("location", "/people/" + person->uuid));
    });
  }

  // Reads the record, decides, writes: one transaction, so nothing comes between.
  // `next` makes the new record from the current one, or throws the Problem to answer with.
  template <typename Next>
  void update(const Request& request, Exchange ex, Operation operation, Next next) {
    struct State {
      std::string uuid, request_id;
      Conditions conditions;
      Response response;
      bool refused = false;
    };
    auto state = std::make_shared<State>(
        State{uuid_of(request), std::string(request.id()), Conditions(request), Response(), false});
    bh_exchange* handle = ex.handle();
    store_->transact(
        request.deadline_ns(), handle,
        [this, state, operation, next](bulkhead::SqlTransaction& transaction) {
          try {
            const Record current = operation == Operation::kRestore ? store_->lock_deleted(transaction, state->uuid)
                                                                    : store_->lock(transaction, state->uuid);
            if (!current.found)
              throw operation == Operation::kRestore ? not_deleted(state->uuid) : not_found(state->uuid);
            state->conditions.require(etag(current.version));
            state->response = next(transaction, current);
            return true;
          } catch (const Problem& problem) {
            state->response = bulkhead::problem(problem, state->request_id);
            state->refused = true;
          } catch (const StatementFailed&) {  // the result says why
          }
          return false;
        },
        [this, ex = std::move(ex), state, operation](const SqlResult& result) {
          if (!state->refused) changed(state->uuid, result);
          if (!result.ok() && !state->refused) return fail(ex, result);
          if (!state->refused) kpis_.count(operation);
          ex.reply(std::move(state->response));
        });
  }

  Response write(bulkhead::SqlTransaction& transaction, const Person& person, int64_t version) const {
    store_->replace(transaction, person);
    Record record{true, version + 1, {}};
    write_record(person, &record.json);
    return record_response(200, record);
  }

  void replace(const Request& request, Exchange ex) {
    require_json_accepted(request);
    require_json_body(request);
    const std::string uuid = uuid_of(request);
    with_body(request, std::move(ex), [this, uuid](const Request& sent, Exchange to) {
      update(sent, std::move(to), Operation::kReplace,
             [this, person = checked(parse_record(sent.body()), uuid)](bulkhead::SqlTransaction& transaction,
                                                                       const Record& current) {
               return write(transaction, person, current.version);
             });
    });
  }

  void change(const Request& request, Exchange ex) {
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
    with_body(request, std::move(ex), [this, uuid, operations](const Request& sent, Exchange to) {
      // A patch holds operations, and those hold values or, for the whole record, an object of
      // values.
      const bulkhead::JsonDocument patch =
          operations ? parse_body(sent.body(), {.values = kMostPatchValues, .kept = 3}) : parse_record(sent.body());
      if (operations) check_operations(patch.value);
      if (!operations && !patch.value.is_object())
        throw Problem(422, "One field is not valid.", {{"", "must be an object with the fields to change"}});
      update(sent, std::move(to), Operation::kChange,
             [this, patch, operations, uuid](bulkhead::SqlTransaction& transaction, const Record& current) {
               Json record = Json::parse(current.json);
               if (operations)
                 record = patched(std::move(record), patch.value);
               else
                 record.merge_patch(patch.value);
               return write(transaction, checked(record, patch, uuid), current.version);
             });
    });
  }

  void remove(const Request& request, Exchange ex) {
    update(request, std::move(ex), Operation::kRemove,
           [this, uuid = uuid_of(request)](bulkhead::SqlTransaction& transaction, const Record&) {
             store_->remove(transaction, uuid);
             return Response(204);
           });
  }

  void restore(const Request& request, Exchange ex) {
    require_json_accepted(request);
    update(request, std::move(ex), Operation::kRestore,
           [this, uuid = uuid_of(request)](bulkhead::SqlTransaction& transaction, const Record&) {
             return record_response(200, store_->restore(transaction, uuid));
           });
  }

  static int32_t run_command(void* self, bh_str /*name*/, const bh_str* args, size_t n, void (*print)(void*, bh_str),
                             void* out, bh_error* err) {
    if (n != 1) {
      bulkhead::set_error(err, BH_E_INVALID, "takes one argument, the CSV file");
      return 2;
    }
    try {
      const auto& plugin = *static_cast<People*>(static_cast<bulkhead::Plugin*>(self));
      const std::vector<Person> people = read_csv(std::string(bulkhead::to_view(args[0])));
      const size_t added = plugin.store_->import(people);
      plugin.cache_.invalidate<1>({kLists});
      const std::string line =
          "imported " + std::to_string(added) + ", " + std::to_string(people.size() - added) + " were there already\n";
      print(out, bulkhead::to_str(line));
      return 0;
    } catch (const std::exception& error) {
      bulkhead::set_error(err, BH_E_INVALID, error.what());
      return 1;
    }
  }

  Kpis kpis_;
  const uint64_t kpi_interval_s_;
  bulkhead::CacheTags cache_;
  std::unique_ptr<Store> store_;
  std::vector<Person> seed_;
  std::mutex mutex_;
  std::deque<std::pair<uint64_t, std::string>> in_doubt_;  // when to say so again, the earliest first
};

constexpr bh_need kNeeds[] = {bulkhead::service(BH_SQL_ID, BH_SQL_VERSION),
                              bulkhead::service(BH_CACHE_ID, BH_CACHE_VERSION, true)};
constexpr bh_str kGrants[] = {bulkhead::to_str("service:bh.sql"), bulkhead::to_str("service:bh.cache")};

}  // namespace people

BULKHEAD_PLUGIN(people::People, "people", "1.0.0", "The passengers of the Titanic: create, read, change, delete, list.",
                .schema = people_embedded::schema_json, .needs = people::kNeeds, .grants = people::kGrants)
