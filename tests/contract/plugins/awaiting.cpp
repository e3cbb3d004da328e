// Steps and hooks that are coroutines, and data attached to exchanges.
#include <pthread.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "bulkhead/plugin.hpp"
#include "bulkhead/services/sql.hpp"

namespace {

using bulkhead::Request;
using bulkhead::Response;
using bulkhead::Task;

std::string thread_name() {
  char name[16] = "";
  pthread_getname_np(pthread_self(), name, sizeof name);
  return name;
}

// Counts frames and attachments that are alive.
struct Counted {
  explicit Counted(std::atomic<int>& alive) : alive_(alive) { ++alive_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --alive_; }

  std::string text;

 private:
  std::atomic<int>& alive_;
};

constexpr bulkhead::Attachment<Counted> kNote{"note"};

}  // namespace

class Awaiting : public bulkhead::Plugin {
 public:
  Awaiting(bulkhead::Host host, const bulkhead::Json& config) : Plugin(host) {
    hook(BH_PREPARE, &Awaiting::prepare);
    if (config.value("late", false)) hook(BH_RESPOND, &Awaiting::prepare);
    hook(BH_COMPLETE, [this](const Request& request) {
      if (const Counted* note = request.attached(kNote); note != nullptr && note->text == "step") ++seen_at_the_end_;
      return bh_flow{BH_NEXT};
    });
    get("/awaiting/threads", &Awaiting::threads);
    get("/awaiting/sleep/{ms}", &Awaiting::sleep, {}, {.timeout_ms = 60'000});
    get("/awaiting/short/{ms}", &Awaiting::sleep, {}, {.timeout_ms = 300});
    get("/awaiting/nested/{n}", &Awaiting::nested);
    get("/awaiting/throw/{what}", &Awaiting::throwing);
    get("/awaiting/blocking", &Awaiting::threads, {}, {.blocking = true});
    get("/awaiting/hooked", &Awaiting::hooked);
    get("/awaiting/counts", &Awaiting::counts);
    get("/awaiting/sql/{n}", &Awaiting::rows);
    post("/awaiting/sql", &Awaiting::write);
  }
  void start() override {
    try {
      sql_.emplace(host());
    } catch (const bulkhead::Failure&) {  // none is loaded
    }
  }
  void quiesce() override {
    if (sql_) sql_->settle();
  }
  void stop() override { sql_.reset(); }

 private:
  Task<bh_flow> prepare(Request request) {
    if (request.path() != "/awaiting/hooked") co_return BH_NEXT;
    const Counted frame(frames_);
    request.attach(kNote, std::make_unique<Counted>(attached_));
    request.attached(kNote)->text = "hook";
    const bool second = request.attach(kNote, std::make_unique<Counted>(attached_));
    if (second) throw std::logic_error("two under one key");
    const std::string_view wish = request.header("x-wish");
    if (wish != "at-once") co_await bulkhead::sleep_for(host(), 5);
    if (wish == "deny") throw bulkhead::Problem(403, "as you wish");
    if (wish == "answer") co_return answer(request, bulkhead::text(202, "from the hook"));
    if (wish == "fail") co_return BH_E_CONFLICT;
    co_return BH_NEXT;
  }

  Task<Response> hooked(Request request) {
    Counted* note = request.attached(kNote);
    if (note == nullptr) throw std::logic_error("nothing attached");
    const std::string before = std::exchange(note->text, "step");
    co_return bulkhead::text(200, before);
  }

  Task<Response> threads(Request request) {
    const Counted frame(frames_);
    std::string names = thread_name();
    co_await bulkhead::on_executor(host());
    names += " " + thread_name();
    co_await bulkhead::at_home(request);
    names += " " + thread_name();
    co_await bulkhead::sleep_for(host(), 1);
    names += " " + thread_name();
    co_return bulkhead::text(200, names);
  }

  Task<Response> sleep(Request request) {
    const Counted frame(frames_);
    const uint64_t milliseconds = std::stoul(std::string(request.param("ms")));
    try {
      co_await bulkhead::sleep_for(host(), milliseconds);
    } catch (const bulkhead::Gone&) {
      ++gone_;
      throw;
    }
    co_return bulkhead::text(200, "slept");
  }

  Task<int> sum(int n) {
    const Counted frame(frames_);
    if (n == 0) co_return 0;
    if (n == 13) throw bulkhead::Problem(418, "unlucky");
    if (n % 3 == 0) co_await bulkhead::on_executor(host());
    auto rest = sum(n - 1);
    co_return n + co_await rest;
  }
  Task<Response> nested(Request request) {
    const Counted frame(frames_);
    auto whole = sum(std::stoi(std::string(request.param("n"))));
    const int result = co_await whole;
    co_return bulkhead::text(200, std::to_string(result));
  }

  Task<Response> throwing(Request request) {
    const Counted frame(frames_);
    const std::string_view what = request.param("what");
    if (request.query() == "later") co_await bulkhead::on_executor(host());
    if (what == "problem") throw bulkhead::Problem(409, "a problem");
    if (what == "failure") throw bulkhead::Failure(BH_E_UNAVAILABLE, "a failure");
    if (what == "exception") throw std::runtime_error("an exception");
    if (what == "status") throw bulkhead::Problem(99, "no status");
    if (what == "number") throw 1;
    co_return Response(7);
  }

  // Rows n..1 by way of the database.
  Task<Response> rows(Request request) {
    const Counted frame(frames_);
    const bh_value value = bulkhead::sql_int(std::stol(std::string(request.param("n"))));
    const int32_t column = BH_INT;
    std::string text;
    const auto add = [&](std::span<const bh_value> cells) { text += std::to_string(cells[0].as.i) + " "; };
    auto query = sql_->query({.sql = "with recursive t(n) as (select cast(:n as bigint) union all select n - 1 from t "
                                     "where n > 1) select n from t",
                              .values = {&value, 1},
                              .columns = {&column, 1},
                              .flags = BH_SQL_READ,
                              .deadline_ns = request.deadline_ns(),
                              .ex = request.handle()},
                             add);
    const bulkhead::SqlResult result = co_await query;
    bulkhead::require(result);
    co_return bulkhead::text(200, text + thread_name());
  }

  // A transaction that commits what the body says, or throws out of the middle.
  Task<Response> write(Request request) {
    const Counted frame(frames_);
    int64_t count = 0;
    const int32_t column = BH_INT;
    const bh_value text = bulkhead::sql_text(request.body());
    const auto work = [&](bulkhead::SqlTransaction& transaction) {
      transaction.execute({.sql = "create table if not exists awaited (t text)"});
      transaction.execute({.sql = "insert into awaited values (:t)", .values = {&text, 1}});
      transaction.execute({.sql = "select count(*) from awaited", .columns = {&column, 1}},
                          [&](std::span<const bh_value> cells) { count = cells[0].as.i; });
      if (request.body() == "throw") throw bulkhead::Problem(409, "rolled back");
      return request.body() != "refuse";
    };
    auto transaction = sql_->transact(request.deadline_ns(), request.handle(), work);
    const bulkhead::SqlResult result = co_await transaction;
    co_return bulkhead::text(result.ok() ? 200 : 400, std::to_string(count));
  }

  Response counts(const Request&) {
    return bulkhead::json(200, bulkhead::Json{{"frames", frames_.load()},
                                              {"gone", gone_.load()},
                                              {"attached", attached_.load()},
                                              {"seen_at_the_end", seen_at_the_end_.load()}});
  }

  std::atomic<int> frames_{0}, gone_{0}, attached_{0}, seen_at_the_end_{0};
  std::optional<bulkhead::Sql> sql_;
};

constexpr bh_need kNeeds[] = {bulkhead::service(BH_SQL_ID, BH_SQL_VERSION, true)};
constexpr bh_str kGrants[] = {bulkhead::to_str("service:bh.sql")};

BULKHEAD_PLUGIN(Awaiting, "awaiting", "1.0.0", "Waits without holding a thread.",
                .schema = R"({"type": "object", "properties": {"late": {"type": "boolean"}}})", .needs = kNeeds,
                .grants = kGrants)
