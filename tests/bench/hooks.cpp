// A request through the chain with 0 to 64 empty hooks, as the I/O thread does it but without a
// socket: the slope is what one more hook costs, latency by plugin included.
#include <benchmark/benchmark.h>

#include "bulkhead/value.hpp"
#include "core/chain/runner.hpp"

using namespace bulkhead;

namespace {

class Thread final : public exchange::Home, public chain::Channel {
 public:
  Thread() : Home(0) {}
  void post(exchange::Exchange*) override {}
  bool on_thread() const override { return true; }
  void recycle(exchange::Exchange*) override {}
  runtime::DeadlineQueue& deadlines() override { return queue_; }
  void body_released(size_t) override {}
  void give_slab(runtime::SlabRef) override {}
  void moved(chain::Run&, chain::Wait) override {}
  void failed() override {}

 private:
  runtime::DeadlineQueue queue_;
};

bh_flow next(void*, bh_exchange*, const bh_request*, bh_error*) { return BH_NEXT; }
bh_flow answer(void*, bh_exchange* ex, const bh_request*, bh_error*) {
  bh_reply reply{};
  reply.size = sizeof reply;
  reply.status = 204;
  chain::Run::of(ex)->answer.give(reply, "bench");
  return BH_DONE;
}

void request(benchmark::State& state) {
  const chain::Owner owner{"bench", true, true};
  chain::TableInput input;
  input.plugin_order = {"bench"};
  input.order_reasons = {"by id"};
  for (int i = 0; i < state.range(0); ++i) {
    chain::Hook hook;
    hook.phase = BH_ADMIT;
    hook.step = {next, nullptr, &owner, false};
    input.hooks.push_back(hook);
  }
  chain::Route route;
  route.method = "GET";
  route.pattern = "/x";
  route.step = {answer, nullptr, &owner, false};
  input.routes.push_back(route);
  std::string error;
  runtime::Executor executor(1, 1);
  bulkhead::telemetry::Tracing tracing;
  chain::Runner runner({}, executor, tracing, [](exchange::Exchange&, std::string_view, std::string_view) {});
  runner.publish(chain::build_table(std::move(input), 1, &error));

  Thread thread;
  chain::Run run(thread);
  for (auto _ : state) {
    run.ref();
    run.start(runner, thread, runner.table());
    run.request.method = to_str("GET");
    run.request.match_path = "/x";
    if (runner.advance(run) == chain::Wait::kWrite) runner.written(run);
    run.unref();
    run.clear();
  }
  executor.stop();
}

}  // namespace

BENCHMARK(request)->Arg(0)->Arg(1)->Arg(16)->Arg(64);
BENCHMARK_MAIN();
